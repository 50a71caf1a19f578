//! From when until when a certificate is valid, read from its DER: version, serial, algorithm and issuer
//! are stepped over. What is not laid out like that has no validity here.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::clock::Timestamp;

const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;

/// When a certificate means something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// Not before.
    pub from: Timestamp,
    /// Not after.
    pub until: Timestamp,
}

impl Validity {
    /// Of a certificate in DER.
    pub fn of(certificate: &[u8]) -> Option<Self> {
        let mut fields = Fields(Fields(Fields(certificate).of_kind(SEQUENCE)?).of_kind(SEQUENCE)?);
        let (kind, _) = fields.next()?;
        if kind == VERSION {
            fields.of_kind(INTEGER)?;
        }
        let _algorithm = fields.of_kind(SEQUENCE)?;
        let _issuer = fields.of_kind(SEQUENCE)?;
        let mut dates = Fields(fields.of_kind(SEQUENCE)?);
        Some(Self { from: moment(dates.next()?)?, until: moment(dates.next()?)? })
    }
}

/// Whether a certificate in DER is of the first version, which does not say its version.
pub fn is_version_1(certificate: &[u8]) -> bool {
    let fields = Fields(certificate).of_kind(SEQUENCE).and_then(|whole| Fields(whole).of_kind(SEQUENCE));
    fields.and_then(|fields| Fields(fields).next()).is_some_and(|(kind, _)| kind == INTEGER)
}

/// Values one behind the other, each behind its kind and its length.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (&kind, rest) = self.0.split_first()?;
        let (&first, rest) = rest.split_first()?;
        let (length, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            0x81..=0x83 => {
                let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
                (digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)), rest)
            }
            _ => return None,
        };
        let (value, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((kind, value))
    }

    fn of_kind(&mut self, kind: u8) -> Option<&'a [u8]> {
        self.next().filter(|(found, _)| *found == kind).map(|(_, value)| value)
    }
}

/// `YYMMDDHHMMSSZ`, of the years 1950 to 2049, or `YYYYMMDDHHMMSSZ`.
fn moment((kind, text): (u8, &[u8])) -> Option<Timestamp> {
    let digits = text.strip_suffix(b"Z").filter(|digits| digits.iter().all(u8::is_ascii_digit))?;
    let pairs: Vec<i16> = digits.chunks(2).map(|pair| pair.iter().fold(0, |number, digit| number * 10 + i16::from(digit - b'0'))).collect();
    let (year, rest) = match (kind, pairs.as_slice()) {
        (UTC_TIME, [year, rest @ ..]) => (if *year < 50 { 2_000 + year } else { 1_900 + year }, rest),
        (GENERALIZED_TIME, [century, year, rest @ ..]) => (century * 100 + year, rest),
        _ => return None,
    };
    let &[month, day, hour, minute, second] = rest else { return None };
    let small = |number: i16| i8::try_from(number).ok();
    let civil = DateTime::new(year, small(month)?, small(day)?, small(hour)?, small(minute)?, small(second)?, 0).ok()?;
    civil.to_zoned(TimeZone::UTC).ok().map(|moment| Timestamp::from_secs(moment.timestamp().as_second()))
}
