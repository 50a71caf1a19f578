use bytes::Bytes;

use super::{Parts, Ties, Unreadable, lane_routes, put_away, take_out};
use crate::id::{AccountId, CharacterId, Home, JobId, ModelName, RouteName};
use crate::plan::Pin;
use crate::video::{Extra, Extras, MediaType, Origin, Reference, Seconds, Size, Source, Upload, Wish};

fn upload() -> Upload {
    Upload { media_type: MediaType::Webp, bytes: Bytes::from_static(b"RIFF\0\xff") }
}

fn plain(origin: Origin) -> Wish {
    Wish {
        origin,
        prompt: "a \"fox\"\n".to_owned(),
        model: None,
        seconds: None,
        size: None,
        reference: None,
        characters: Vec::new(),
        end_user: None,
        extras: Extras::new(),
    }
}

#[test]
fn an_order_is_taken_out_as_it_was_put_away() {
    let full = Wish {
        model: Some(ModelName::new("wan 2.2")),
        seconds: Seconds::new(8),
        size: Some(Size::DEFAULT),
        characters: vec![CharacterId::mint(), CharacterId::mint()],
        end_user: Some("ada".to_owned()),
        extras: Extras::from([("seed".to_owned(), Extra::Number("7".to_owned()))]),
        ..plain(Origin::Create)
    };
    let with = |reference| Wish { reference: Some(reference), ..full.clone() };
    let wishes = [
        with(Reference::Upload(upload())),
        with(Reference::ImageUrl("https://example.com/a.png".to_owned())),
        with(Reference::FileId("file-1".to_owned())),
        plain(Origin::Create),
        plain(Origin::Remix(JobId::mint())),
        plain(Origin::Edit(Source::Job(JobId::mint()))),
        plain(Origin::Edit(Source::Upload(upload()))),
        plain(Origin::Extend(Source::Upload(upload()))),
    ];
    let west = Home { route: RouteName::new("west"), account: Some(AccountId::new("0123456789abcdef-fedcba9876543210")) };
    let pin = Pin {
        home: west.clone(),
        model: ModelName::new("sora-2"),
        seconds: Seconds::new(4).unwrap(),
        size: Size::DEFAULT,
        residency: Some("eu".to_owned()),
    };
    let tied = Ties { pin: Some(pin), lives_on: Some(west) };
    for wish in wishes {
        for ties in [Ties::default(), tied.clone()] {
            let parts = Parts {
                wish: wish.clone(),
                source: Some("video_1".to_owned()),
                characters: vec!["char_1".to_owned(), "char_2".to_owned()],
            };
            let (text, file) = put_away(&parts, &ties);
            assert!(!text.contains("fox"), "the prompt is in the job's row: {text}");
            let file = file.map_or_else(Bytes::new, |upload| upload.bytes);
            assert_eq!(take_out(&text, &wish.prompt, &wish.extras, file), Ok((parts, ties)), "{text}");
        }
    }
}

#[test]
fn what_cannot_be_read_whole_is_no_order() {
    for text in [
        "",
        "{}",
        r#"{"operation":"dance"}"#,
        r#"{"operation":"remix"}"#,
        r#"{"operation":"edit"}"#,
        r#"{"operation":"create","reference":"upload"}"#,
        r#"{"operation":"create","seconds":"0"}"#,
        r#"{"operation":"create","more":1}"#,
    ] {
        assert_eq!(take_out(text, "a fox", &Extras::new(), Bytes::new()), Err(Unreadable), "{text}");
    }
}

#[test]
fn a_lane_names_its_routes() {
    let routes: Vec<_> = lane_routes("wan 2.2 east,west").collect();
    assert_eq!(routes, [RouteName::new("east"), RouteName::new("west")]);
}
