//! What a report sums up, and that spreadsheets and programs read it as it was meant.

use std::collections::BTreeMap;

use clap::Parser;

use super::{ReportArgs, aside, render};
use crate::money::MicroUsd;
use crate::policy::sample::{TODAY, usd};
use crate::store::{Figures, Overview, Report, ReportBy, ReportQuery, ReportRow};

#[derive(Parser)]
struct Typed {
    #[command(flatten)]
    args: ReportArgs,
}

fn typed(options: &str) -> Result<ReportArgs, String> {
    let words = std::iter::once("report").chain(options.split_whitespace());
    Typed::try_parse_from(words).map(|typed| typed.args).map_err(|e| e.to_string())
}

/// Jobs that share all there is to sum by.
#[derive(Clone)]
struct Jobs {
    tenant: &'static str,
    key: Option<&'static str>,
    user: Option<&'static str>,
    route: &'static str,
    day: &'static str,
    figures: Figures,
}

fn jobs(tenant: &'static str, route: &'static str, day: &'static str, completed: u64, charged: &str) -> Jobs {
    let made = i64::try_from(completed).unwrap();
    let figures = Figures {
        jobs: completed + 1,
        completed,
        failed: 1,
        seconds: completed * 8,
        spent: usd("0.80").times(made).unwrap(),
        held: usd("0.40"),
        retries: 1,
        retry_cost: usd("0.80"),
        charged: usd(charged),
    };
    Jobs { tenant, key: None, user: None, route, day, figures }
}

fn of_three() -> Vec<Jobs> {
    vec![
        Jobs { key: Some("ci"), user: Some("u-1"), ..jobs("acme", "openai", "2026-11-01", 2_000, "2000.00") },
        Jobs { key: Some("web"), ..jobs("acme", "azure", "2026-11-02", 3, "1.50") },
        Jobs { user: Some("u-1"), ..jobs("demo", "openai", "2026-11-01", 1, "0") },
    ]
}

fn plus(a: Figures, b: &Figures) -> Figures {
    Figures {
        jobs: a.jobs + b.jobs,
        completed: a.completed + b.completed,
        failed: a.failed + b.failed,
        seconds: a.seconds + b.seconds,
        spent: a.spent.plus(b.spent).unwrap(),
        held: a.held.plus(b.held).unwrap(),
        retries: a.retries + b.retries,
        retry_cost: a.retry_cost.plus(b.retry_cost).unwrap(),
        charged: a.charged.plus(b.charged).unwrap(),
    }
}

/// What a store answers of these jobs.
fn summed(jobs: &[Jobs], query: &ReportQuery) -> Report {
    let mut groups: BTreeMap<Vec<Option<String>>, Figures> = BTreeMap::new();
    for jobs in jobs {
        let name = |by: &ReportBy| match by {
            ReportBy::Tenant => Some(jobs.tenant),
            ReportBy::Key => jobs.key,
            ReportBy::User => jobs.user,
            ReportBy::Route => Some(jobs.route),
            ReportBy::Model => Some("sora-2"),
            ReportBy::Day => Some(jobs.day),
        };
        let sum = groups.entry(query.by.iter().map(|by| name(by).map(str::to_owned)).collect()).or_default();
        *sum = plus(*sum, &jobs.figures);
    }
    let count = groups.len() as u64;
    let mut rows: Vec<ReportRow> = groups.into_iter().map(|(names, figures)| ReportRow { names, figures }).collect();
    rows.sort_by_key(|row| std::cmp::Reverse(row.figures.spent));
    rows.truncate(query.limit as usize);
    Report { rows, groups: count, total: jobs.iter().fold(Figures::default(), |sum, jobs| plus(sum, &jobs.figures)) }
}

fn told(jobs: &[Jobs], overview: &Overview, options: &str) -> String {
    let args = typed(options).unwrap();
    render(&summed(jobs, &args.query(TODAY).unwrap()), overview, &args)
}

fn rendered(options: &str) -> String {
    told(&of_three(), &Overview::default(), options)
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
    let named: Vec<Jobs> = names.iter().map(|name| jobs(name, "openai", "2026-11-01", 1, "0.50")).collect();
    let text = told(&named, &Overview::default(), "--by tenant --format csv");
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
    assert_eq!(["tenant", "route", "model", "day", "tenant,route", "day,model", "key", "user"].map(count), [2, 2, 1, 2, 3, 2, 3, 3]);
}

#[test]
fn nothing_spent_is_said_and_not_drawn() {
    let empty = |options: &str| told(&[], &Overview::default(), options);
    assert_eq!(empty(""), "No jobs in this period.\n");
    assert_eq!(empty("--format csv").lines().count(), 1);
    assert!(empty("--json").contains("\"rows\": []"));
}

#[test]
fn what_is_nobodys_stands_below_the_table() {
    let overview = Overview { suspense: usd("1200.00"), overrun: usd("0.25"), ..Overview::default() };
    let both = |options: &str| (told(&[], &overview, options), aside(&overview, &typed(options).unwrap()));
    let lines = "In suspense: 1,200.00, taken by providers and explained by no job (`filmgate suspense list`).\n\
        Overrun: 0.25, taken by providers above what was held.\n";
    assert_eq!(both(""), (format!("No jobs in this period.\n{lines}"), String::new()));
    let table = told(&of_three(), &overview, "");
    assert!(table.ends_with(&format!("398.30\n{lines}")), "{table}");
    let (csv, beside) = both("--format csv");
    assert_eq!((csv.lines().count(), beside.as_str()), (1, lines), "a spreadsheet gets rows only");
    let json: serde_json::Value = serde_json::from_str(&both("--json").0).unwrap();
    assert_eq!((&json["suspense_microusd"], &json["overrun"]), (&1_200_000_000_i64.into(), &"0.25".into()));
    let either = Overview { suspense: MicroUsd::ZERO, ..overview };
    assert!(!told(&[], &either, "").contains("suspense"), "what is nothing is not told");
}

#[test]
fn names_of_keys_and_users_come_with_their_tenants_and_whoever_has_none_is_told_apart() {
    insta::assert_snapshot!(rendered("--by user"), @r"
    TENANT  USER    JOBS  COMPLETED  FAILED  SECONDS     SPENT  HELD  RETRIES  RETRY_COST   CHARGED  MARGIN
    acme    (none)     4          3       1       24      2.40  0.40        1        0.80      1.50   -0.90
    acme    u-1     2001       2000       1    16000  1,600.00  0.40        1        0.80  2,000.00  400.00
    demo    u-1        2          1       1        8      0.80  0.40        1        0.80      0.00   -0.80
    ------  ------  ----  ---------  ------  -------  --------  ----  -------  ----------  --------  ------
    total           2007       2004       3    16032  1,603.20  1.20        3        2.40  2,001.50  398.30
    ");
    insta::assert_snapshot!(rendered("--by key,tenant --format csv").replace("\r\n", "\n"), @r"
    key,tenant,jobs,completed,failed,seconds,spent,held,retries,retry_cost,charged,margin
    ,demo,2,1,1,8,0.80,0.40,1,0.80,0.00,-0.80
    ci,acme,2001,2000,1,16000,1600.00,0.40,1,0.80,2000.00,400.00
    web,acme,4,3,1,24,2.40,0.40,1,0.80,1.50,-0.90
    ");
    let json: serde_json::Value = serde_json::from_str(&rendered("--by day,user --json")).unwrap();
    let names = |row: &serde_json::Value| [&row["day"], &row["tenant"], &row["user"]].map(ToString::to_string).join(" ");
    let rows: Vec<String> = json["rows"].as_array().unwrap().iter().map(names).collect();
    assert_eq!(rows, [r#""2026-11-01" "acme" "u-1""#, r#""2026-11-01" "demo" "u-1""#, r#""2026-11-02" "acme" null"#]);
}

#[test]
fn what_has_no_row_of_its_own_is_one_row_together() {
    insta::assert_snapshot!(rendered("--by tenant,route --top 1"), @r"
    TENANT      ROUTE   JOBS  COMPLETED  FAILED  SECONDS     SPENT  HELD  RETRIES  RETRY_COST   CHARGED  MARGIN
    acme        openai  2001       2000       1    16000  1,600.00  0.40        1        0.80  2,000.00  400.00
    (2 others)             6          4       2       32      3.20  0.80        2        1.60      1.50   -1.70
    ----------  ------  ----  ---------  ------  -------  --------  ----  -------  ----------  --------  ------
    total               2007       2004       3    16032  1,603.20  1.20        3        2.40  2,001.50  398.30
    ");
    insta::assert_snapshot!(rendered("--by tenant,user --top 2 --format csv").replace("\r\n", "\n"), @r"
    tenant,user,jobs,completed,failed,seconds,spent,held,retries,retry_cost,charged,margin
    acme,u-1,2001,2000,1,16000,1600.00,0.40,1,0.80,2000.00,400.00
    acme,,4,3,1,24,2.40,0.40,1,0.80,1.50,-0.90
    (1 other),,2,1,1,8,0.80,0.40,1,0.80,0.00,-0.80
    ");
    let json: serde_json::Value = serde_json::from_str(&rendered("--by user --top 1 --json")).unwrap();
    assert_eq!(
        (&json["rest"]["groups"], &json["rest"]["spent"], &json["rest"]["held_microusd"]),
        (&2.into(), &"3.20".into(), &800_000.into())
    );
    let json: serde_json::Value = serde_json::from_str(&rendered("--by user --top 3 --json")).unwrap();
    assert!(json["rest"].is_null());
    assert!(typed("--top 0").is_err());
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
