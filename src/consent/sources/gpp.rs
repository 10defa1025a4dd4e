//! IAB Global Privacy Platform: `__gpp`, sections joined by `~`. Of them the European TC string, the
//! national and the Californian section and the old US privacy string are read.

use super::tcf::PURPOSES;
use crate::consent::bits::Bits;
use crate::consent::source::{ConsentSource, Reading, SourceSettings};
use crate::consent::{Categories, Category, IdMap, decode, shapes, tcf};
use crate::cookie::Cookies;

/// More sections than exist.
const MOST_SECTIONS: u64 = 64;

/// Reads GPP strings.
#[derive(Debug)]
pub(super) struct Gpp {
    map: IdMap,
}

impl Gpp {
    pub(super) fn new(settings: &SourceSettings) -> Self {
        Self { map: IdMap::new(PURPOSES, &settings.map) }
    }

    fn read_one(&self, value: &[u8]) -> Option<Reading> {
        let text = decode::percent(value)?;
        let mut parts = text.split('~');
        let ids = sections(parts.next()?)?;
        let mut reading = Reading::NoDecision;
        for id in ids {
            let section = parts.next()?;
            let said = match id {
                2 => tcf::read(section, &self.map),
                6 => self.opted_out(matches!(section.as_bytes(), [b'1', _, b'Y' | b'y', _])),
                // Sale, sharing, targeted advertising.
                7 => self.opted_out(opt_outs(section, &[18, 20, 22])?),
                8 => self.opted_out(opt_outs(section, &[12, 14])?),
                _ => continue,
            };
            reading = reading.and(said);
        }
        Some(reading)
    }

    /// An American section can only take away: what is not opted out of follows the default.
    fn opted_out(&self, out: bool) -> Reading {
        shapes::opt_out(out, [Category::TARGETING].into_iter().collect(), &self.map)
    }
}

/// The ids of the sections, from the header.
fn sections(header: &str) -> Option<Vec<u64>> {
    let mut bits = Bits::of(header)?;
    if bits.number(6)? != 3 || bits.number(6)? != 1 {
        return None;
    }
    let (mut ids, mut last) = (Vec::new(), 0_u64);
    for _ in 0..bits.number(12)? {
        let range = bits.bit()?;
        let first = last.checked_add(bits.fibonacci()?)?;
        last = if range { first.checked_add(bits.fibonacci()?)? } else { first };
        if last > MOST_SECTIONS {
            return None;
        }
        ids.extend(first..=last);
    }
    Some(ids)
}

/// Whether a section opts out at one of these places, or says that the browser did by GPC.
fn opt_outs(section: &str, places: &[usize]) -> Option<bool> {
    let mut parts = section.split('.');
    let mut core = Bits::of(parts.next()?)?;
    let mut out = false;
    for place in places {
        core.seek(*place);
        out |= core.number(2)? == 1;
    }
    for part in parts {
        let mut bits = Bits::of(part)?;
        out |= bits.number(2)? == 1 && bits.bit()?;
    }
    Some(out)
}

impl ConsentSource for Gpp {
    fn name(&self) -> &'static str {
        "gpp"
    }

    fn cookie_names(&self) -> Vec<String> {
        ["__gpp", "__gpp_sid"].map(str::to_owned).to_vec()
    }

    fn read(&self, cookies: &Cookies<'_>, _: &Categories) -> Reading {
        Reading::of_copies(cookies.values(b"__gpp"), |value| {
            self.read_one(value).unwrap_or(Reading::Malformed)
        })
    }
}
