//! What a report sums up, and that spreadsheets and programs read it as it was meant.

use clap::Parser;

use super::{ReportArgs, aside, render};
use crate::money::MicroUsd;
use crate::policy::sample::{TODAY, usd};
use crate::store::{Overview, ReportRow};

#[derive(Parser)]
struct Typed {
    #[command(flatten)]
    args: ReportArgs,
}

fn typed(options: &str) -> Result<ReportArgs, String> {
    let words = std::iter::once("report").chain(options.split_whitespace());
    Typed::try_parse_from(words).map(|typed| typed.args).map_err(|e| e.to_string())
}

fn row(tenant: &str, route: &str, day: &str, completed: u64, charged: &str) -> ReportRow {
    let made = i64::try_from(completed).unwrap();
    ReportRow {
        tenant: tenant.into(),
        route: route.into(),
        model: "sora-2".into(),
        day: day.into(),
        jobs: completed + 1,
        completed,
        failed: 1,
        seconds: completed * 8,
        spent: usd("0.80").times(made).unwrap(),
        held: usd("0.40"),
        retries: 1,
        retry_cost: usd("0.80"),
        charged: usd(charged),
    }
}

fn rows() -> Vec<ReportRow> {
    vec![
        row("acme", "openai", "2026-11-01", 2_000, "2000.00"),
        row("acme", "azure", "2026-11-02", 3, "1.50"),
        row("demo", "openai", "2026-11-01", 1, "0"),
    ]
}

fn rendered(options: &str) -> String {
    render(&rows(), &Overview::default(), &typed(options).unwrap())
}

#[test]
fn a_report_sums_by_everything_unless_told_otherwise() {
    insta::assert_snapshot!(rendered(""), @r"
    TENANT  ROUTE   MODEL   DAY         JOBS  COMPLETED  FAILED  SECONDS     SPENT  HELD  RETRIES  RETRY_COST   CHARGED  MARGIN
    acme    azure   sora-2  2026-11-02     4          3       1       24      2.40  0.40        1        0.80      1.50   -0.90
    acme    openai  sora-2  2026-11-01  2001       2000       1    16000  1,600.00  0.40        1        0.80  2,000.00  400.00
    demo    openai  sora-2  2026-11-01     2          1       1        8      0.80  0.40        1        0.80      0.00   -0.80
    ------  ------  ------  ----------  ----  ---------  ------  -------  --------  ----  -------  ----------  --------  ------
    total                               2007       2004       3    16032  1,603.20  1.20        3        2.40  2,001.50  398.30
    ");
}

#[test]
fn a_report_sums_by_what_was_asked_in_that_order() {
    insta::assert_snapshot!(rendered("--by route,tenant,route"), @r"
    ROUTE   TENANT  JOBS  COMPLETED  FAILED  SECONDS     SPENT  HELD  RETRIES  RETRY_COST   CHARGED  MARGIN
    azure   acme       4          3       1       24      2.40  0.40        1        0.80      1.50   -0.90
    openai  acme    2001       2000       1    16000  1,600.00  0.40        1        0.80  2,000.00  400.00
    openai  demo       2          1       1        8      0.80  0.40        1        0.80      0.00   -0.80
    ------  ------  ----  ---------  ------  -------  --------  ----  -------  ----------  --------  ------
    total           2007       2004       3    16032  1,603.20  1.20        3        2.40  2,001.50  398.30
    ");
    insta::assert_snapshot!(rendered("--by model --format csv"), @r"
    model,jobs,completed,failed,seconds,spent,held,retries,retry_cost,charged,margin
    sora-2,2007,2004,3,16032,1603.20,1.20,3,2.40,2001.50,398.30
    ");
}

#[test]
fn a_spreadsheet_reads_names_as_names() {
    let names = ["=1+1", "+1", "-1", "@SUM(A1)", "a,b", "say \"hi\"", "=\"a\",b", "plain-name", "two\nlines", "\tindented"];
    let rows: Vec<ReportRow> = names.iter().map(|name| row(name, "openai", "2026-11-01", 1, "0.50")).collect();
    let text = render(&rows, &Overview::default(), &typed("--by tenant --format csv").unwrap());
    insta::assert_snapshot!(text.replace("\r\n", "\n"), @r#"
    tenant,jobs,completed,failed,seconds,spent,held,retries,retry_cost,charged,margin
    '	indented,2,1,1,8,0.80,0.40,1,0.80,0.50,-0.30
    '+1,2,1,1,8,0.80,0.40,1,0.80,0.50,-0.30
    '-1,2,1,1,8,0.80,0.40,1,0.80,0.50,-0.30
    "'=""a"",b",2,1,1,8,0.80,0.40,1,0.80,0.50,-0.30
    '=1+1,2,1,1,8,0.80,0.40,1,0.80,0.50,-0.30
    '@SUM(A1),2,1,1,8,0.80,0.40,1,0.80,0.50,-0.30
    "a,b",2,1,1,8,0.80,0.40,1,0.80,0.50,-0.30
    plain-name,2,1,1,8,0.80,0.40,1,0.80,0.50,-0.30
    "say ""hi""",2,1,1,8,0.80,0.40,1,0.80,0.50,-0.30
    "two
    lines",2,1,1,8,0.80,0.40,1,0.80,0.50,-0.30
    "#);
    assert!(text.contains(",0.50,-0.30\r\n"), "a loss is a number and not a formula");
}

#[test]
fn programs_read_exact_amounts() {
    let json: serde_json::Value = serde_json::from_str(&rendered("--by tenant --json")).unwrap();
    let acme = &json["rows"][0];
    assert_eq!((&acme["tenant"], &acme["jobs"], &acme["seconds"]), (&"acme".into(), &2_005.into(), &16_024.into()));
    assert_eq!((&acme["spent"], &acme["spent_microusd"]), (&"1602.40".into(), &1_602_400_000_i64.into()));
    assert_eq!((&acme["margin"], &acme["margin_microusd"]), (&"399.10".into(), &399_100_000.into()));
    assert_eq!((&json["total"]["margin"], &json["total"]["retries"]), (&"398.30".into(), &3.into()));
    assert!(acme.get("route").is_none());
}

#[test]
fn groups_lose_nothing() {
    let count = |by: &str| {
        let json: serde_json::Value = serde_json::from_str(&rendered(&format!("--by {by} --format json"))).unwrap();
        let groups = json["rows"].as_array().unwrap();
        let sum = groups.iter().map(|g| g["spent_microusd"].as_i64().unwrap()).sum::<i64>();
        assert_eq!(sum, json["total"]["spent_microusd"].as_i64().unwrap(), "{by}");
        groups.len()
    };
    assert_eq!(["tenant", "route", "model", "day", "tenant,route", "day,model"].map(count), [2, 2, 1, 2, 3, 2]);
}

#[test]
fn nothing_spent_is_said_and_not_drawn() {
    let empty = |options: &str| render(&[], &Overview::default(), &typed(options).unwrap());
    assert_eq!(empty(""), "No jobs in this period.\n");
    assert_eq!(empty("--format csv").lines().count(), 1);
    assert!(empty("--json").contains("\"rows\": []"));
}

#[test]
fn what_is_nobodys_stands_below_the_table() {
    let overview = Overview { suspense: usd("1200.00"), overrun: usd("0.25"), ..Overview::default() };
    let told = |options: &str| (render(&[], &overview, &typed(options).unwrap()), aside(&overview, &typed(options).unwrap()));
    let lines = "In suspense: 1,200.00, taken by providers and explained by no job (`filmgate suspense list`).\n\
        Overrun: 0.25, taken by providers above what was held.\n";
    assert_eq!(told(""), (format!("No jobs in this period.\n{lines}"), String::new()));
    let table = render(&rows(), &overview, &typed("").unwrap());
    assert!(table.ends_with(&format!("398.30\n{lines}")), "{table}");
    let (csv, beside) = told("--format csv");
    assert_eq!((csv.lines().count(), beside.as_str()), (1, lines), "a spreadsheet gets rows only");
    let json: serde_json::Value = serde_json::from_str(&told("--json").0).unwrap();
    assert_eq!((&json["suspense_microusd"], &json["overrun"]), (&1_200_000_000_i64.into(), &"0.25".into()));
    let either = Overview { suspense: MicroUsd::ZERO, ..overview };
    assert!(!render(&[], &either, &typed("").unwrap()).contains("suspense"), "what is nothing is not told");
}

#[test]
fn a_sum_too_large_to_be_written_does_not_wrap() {
    let large = ReportRow { spent: MicroUsd::MAX, jobs: u64::MAX, ..row("acme", "openai", "2026-11-01", 1, "0") };
    let json = render(&[large.clone(), large], &Overview::default(), &typed("--by tenant --json").unwrap());
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["total"]["spent_microusd"], i64::MAX);
    assert_eq!(json["total"]["jobs"], u64::MAX);
}

#[test]
fn the_period_is_whole_days_from_the_first_to_the_last() {
    let period = |options: &str| {
        let (from, until) = typed(options).unwrap().range(TODAY).unwrap();
        [from, until].map(|moment| jiff::Timestamp::from_millisecond(moment.as_ms()).unwrap().to_string()).join(" ")
    };
    assert_eq!(period(""), "2026-11-01T00:00:00Z 2026-11-24T00:00:00Z");
    assert_eq!(period("--month 2028-02"), "2028-02-01T00:00:00Z 2028-03-01T00:00:00Z");
    assert_eq!(period("--from 2026-10-31"), "2026-10-31T00:00:00Z 2026-11-24T00:00:00Z");
    assert_eq!(period("--until 2026-10-15"), "2026-10-01T00:00:00Z 2026-10-16T00:00:00Z");
    assert_eq!(period("--from 2026-11-03 --until 2026-11-03"), "2026-11-03T00:00:00Z 2026-11-04T00:00:00Z");
}

#[test]
fn a_period_that_makes_no_sense_is_refused() {
    let backwards = typed("--from 2026-11-03 --until 2026-11-02").unwrap().range(TODAY).unwrap_err();
    assert!(backwards.contains("2026-11-02, before it begins on 2026-11-03"), "{backwards}");
    assert!(typed("--until 9999-12-31").unwrap().range(TODAY).is_err());
    for options in
        ["--month 2026", "--month 2026-13", "--month 2026-11-01", "--month 2026-11 --from 2026-11-01", "--by colour", "--from yesterday"]
    {
        assert!(typed(options).is_err(), "{options}");
    }
}
