use crate::provider::Variant;
use crate::wire::list::{ListQuery, page, variant};

#[test]
fn a_page_is_twenty_of_the_newest_unless_told_otherwise() {
    let usual = ListQuery { after: None, limit: 20, newest_first: true };
    for query in [None, Some(""), Some("after="), Some("api-version=2025-04-01&x=%ff&&="), Some("order=desc"), Some("limit=20")] {
        assert_eq!(page(query).as_ref(), Ok(&usual), "{query:?}");
    }
    assert_eq!(
        page(Some("after=video%5F1+2&limit=0&order=asc")),
        Ok(ListQuery { after: Some("video_1 2".to_owned()), limit: 0, newest_first: false })
    );
    assert_eq!(page(Some("lim%69t=100")).map(|page| page.limit), Ok(100));
}

#[test]
fn a_bad_query_is_refused_by_its_name() {
    let long = format!("after={}", "a".repeat(257));
    for (query, param) in [
        ("limit=101", "limit"),
        ("limit=-1", "limit"),
        ("limit=+5", "limit"),
        ("limit=", "limit"),
        ("limit=5.0", "limit"),
        ("limit=99999999999999999999", "limit"),
        ("limit=1&limit=1", "limit"),
        ("order=ASC", "order"),
        ("order", "order"),
        ("after=a&after=b", "after"),
        ("after=%", "after"),
        ("after=%f", "after"),
        ("after=%zz", "after"),
        ("after=%ff", "after"),
        (long.as_str(), "after"),
    ] {
        assert_eq!(page(Some(query)).unwrap_err().param.as_deref(), Some(param), "{query}");
    }
}

#[test]
fn a_variant_is_one_of_three() {
    for (query, wanted) in [
        (None, Variant::Video),
        (Some("variant=video&api-version=1"), Variant::Video),
        (Some("variant=thumbnail"), Variant::Thumbnail),
        (Some("a=b&variant=spritesheet"), Variant::Spritesheet),
    ] {
        assert_eq!(variant(query), Ok(wanted), "{query:?}");
    }
    for query in ["variant=", "variant=Video", "variant=audio", "variant=video&variant=video"] {
        assert_eq!(variant(Some(query)).unwrap_err().param.as_deref(), Some("variant"), "{query}");
    }
}
