use super::shroud;

#[test]
fn values_of_keys_that_sound_secret_are_covered() {
    let covered = [
        ("api_key = \"abc\"", "api_key = *****"),
        ("\"api_key\" = 'abc'", "\"api_key\" = *****"),
        ("a.client_secret=\"abc\"", "a.client_secret=*****"),
        ("hook = { url = \"u\", secret = \"abc\" }", "hook = { url = \"u\", secret = ***** *"),
        ("secret = [\n  \"abc\",\n  \"def\",\n]\nmodel = \"m\"", "secret = *\n  ******\n  ******\n]\nmodel = \"m\""),
        ("secret = [\n  \"abc\",\nmodel = \"m\"", "secret = *\n  ******\nmodel = \"m\""),
        ("token = \"\"\"\nabc==\n\"\"\"\nmodel = \"m\"", "token = ***\n*****\n\"\"\"\nmodel = \"m\""),
        ("# api_key = \"abc\"", "# api_key = *****"),
        ("url = \"postgres://u@h/d?password=abc\"", "url = \"postgres://u@h/d?password=****"),
        ("url = \"postgres://u:a@b:c@h/d\"", "url = \"postgres://u:*****@h/d\""),
        ("model = \"sk-abc\"", "model = \"sk-***\""),
    ];
    for (text, shown) in covered {
        assert_eq!(shroud(text, &[]), shown);
    }
}

#[test]
fn what_only_names_a_secret_stays_readable() {
    for text in ["api_key = \"env:OPENAI_API_KEY\"", "secret = \"file:/run/secrets/hook\" # rotate", "model = \"sora-2\"", "fit = \"down\""]
    {
        assert_eq!(shroud(text, &[]), text);
    }
}

#[test]
fn offsets_do_not_change_whatever_is_covered() {
    let text = "api_key = \"ключ🔑\"\nmodel = \"模型\"";
    assert_eq!(shroud(text, &[0..3, 5..900]).len(), text.len());
}
