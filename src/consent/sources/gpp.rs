//! IAB Global Privacy Platform: `__gpp`, or OneTrust's `OTGPPConsent`, with sections joined by `~`.
//!
//! Supports the European TC string, the US sections (national and state), and the old US privacy
//! string.

use super::usprivacy;
use crate::consent::bit_reader::BitReader;
use crate::consent::source::{ConsentSource, Reading, SourceSettings};
use crate::consent::tcf::TcStrings;
use crate::consent::{Categories, IdMap, common_formats, decode};
use crate::cookie::Cookies;

/// Upper bound of section ids, above all existing ones.
const MOST_SECTIONS: u64 = 64;
/// The cookies with a GPP string.
const COOKIES: [&str; 2] = ["__gpp", "OTGPPConsent"];
const EUROPEAN: u64 = 2;
const US_PRIVACY: u64 = 6;

/// A US section: the bit positions of its opt-outs (of sale, sharing, targeted advertising) in the
/// core, and whether a Global Privacy Control part may follow.
struct American {
    id: u64,
    newest_version: u64,
    opt_outs: &'static [usize],
    has_gpc: bool,
}

const fn section(id: u64, opt_outs: &'static [usize], has_gpc: bool) -> American {
    American { id, newest_version: 1, opt_outs, has_gpc }
}

/// By the section specifications, checked against the output of @iabgpp/cmpapi 3.2.0.
const AMERICAN: [American; 21] = [
    American { id: 7, newest_version: 2, opt_outs: &[18, 20, 22], has_gpc: true }, // national
    section(8, &[12, 14], true),                                                   // California
    section(9, &[12, 14], false),                                                  // Virginia
    section(10, &[12, 14], true),                                                  // Colorado
    section(11, &[14, 16], false),                                                 // Utah
    section(12, &[12, 14], true),                                                  // Connecticut
    section(13, &[12, 14], false),                                                 // Florida
    section(14, &[12, 14], true),                                                  // Montana
    section(15, &[12, 14], true),                                                  // Oregon
    section(16, &[12, 14], true),                                                  // Texas
    section(17, &[12, 14], true),                                                  // Delaware
    section(18, &[14, 16], true),                                                  // Iowa
    section(19, &[12, 14], true),                                                  // Nebraska
    section(20, &[12, 14], true),                                                  // New Hampshire
    section(21, &[12, 14], true),                                                  // New Jersey
    section(22, &[12, 14], true),                                                  // Tennessee
    section(23, &[12, 14], true),                                                  // Minnesota
    section(24, &[16, 18], true),                                                  // Maryland
    section(25, &[16, 18], false),                                                 // Indiana
    section(26, &[16, 18], false),                                                 // Kentucky
    section(27, &[16, 18], false),                                                 // Rhode Island
];

/// Reads GPP strings.
#[derive(Debug)]
pub(super) struct Gpp {
    european: TcStrings,
    american: IdMap,
}

impl Gpp {
    pub(super) fn new(settings: &SourceSettings) -> Self {
        Self {
            european: TcStrings::new(settings),
            american: IdMap::new(usprivacy::DEFAULTS, &settings.map),
        }
    }

    /// Parses a TC string, as in the European section.
    pub(super) fn read_tc_string(&self, text: &str) -> Reading {
        self.european.read(text)
    }

    /// Parses a GPP string.
    pub(super) fn read_string(&self, text: &str) -> Option<Reading> {
        let mut parts = text.split('~');
        let ids = sections(parts.next()?)?;
        let mut reading = Reading::NoDecision;
        for id in ids {
            // A malformed section does not invalidate the others.
            let Some(part) = parts.next() else { return Some(reading.and(Reading::Malformed)) };
            reading = reading.and(match id {
                EUROPEAN => self.european.read(part),
                US_PRIVACY => usprivacy::read_string(part, &self.american),
                _ => match AMERICAN.iter().find(|section| section.id == id) {
                    Some(section) => {
                        section.opts_out(part).map_or(Reading::Malformed, |out| self.opted_out(out))
                    }
                    None => Reading::NoDecision,
                },
            });
        }
        Some(reading)
    }

    /// A US section can only deny. Without an opt-out, the default applies.
    fn opted_out(&self, out: bool) -> Reading {
        common_formats::opt_out(out, self.american.categories("sale"), &self.american)
    }
}

impl American {
    /// Whether the section contains an opt-out, or records a Global Privacy Control signal.
    fn opts_out(&self, section: &str) -> Option<bool> {
        let mut parts = section.split('.');
        let mut core = BitReader::of(parts.next()?)?;
        if !(1..=self.newest_version).contains(&core.number(6)?) {
            return None;
        }
        let mut is_whole = true;
        for place in self.opt_outs {
            core.seek(*place);
            match core.number(2) {
                Some(1) => return Some(true),
                Some(_) => {}
                None => is_whole = false,
            }
        }
        for part in parts.filter(|_| self.has_gpc) {
            let mut bits = BitReader::of(part)?;
            if bits.number(2)? == 1 && bits.bit()? {
                return Some(true);
            }
        }
        is_whole.then_some(false)
    }
}

/// The section ids in the header.
fn sections(header: &str) -> Option<Vec<u64>> {
    let mut bits = BitReader::of(header)?;
    if bits.number(6)? != 3 || bits.number(6)? != 1 {
        return None;
    }
    let (mut ids, mut last) = (Vec::new(), 0_u64);
    for _ in 0..bits.number(12)? {
        let range = bits.bit()?;
        let first = last.checked_add(bits.fibonacci()?)?;
        last = if range { first.checked_add(bits.fibonacci()?)? } else { first };
        // The ids ascend, so no known section follows an id above the maximum.
        ids.extend(first..=last.min(MOST_SECTIONS));
        if last > MOST_SECTIONS {
            break;
        }
    }
    Some(ids)
}

impl ConsentSource for Gpp {
    fn name(&self) -> &'static str {
        "gpp"
    }

    fn cookie_names(&self) -> Vec<String> {
        COOKIES.iter().chain(&["__gpp_sid"]).map(|name| (*name).to_owned()).collect()
    }

    fn read(&self, cookies: &Cookies<'_>, _: &Categories) -> Reading {
        let copies = COOKIES.iter().flat_map(|name| cookies.values(name.as_bytes()));
        Reading::of_copies(copies, |value| {
            let reading = decode::percent(value).and_then(|text| self.read_string(&text));
            reading.unwrap_or(Reading::Malformed)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Encodes bits as base64url.
    fn coded(bits: &[bool]) -> String {
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let letter = |six: &[bool]| {
            let index = six.iter().fold(0, |index, bit| index << 1 | usize::from(*bit));
            char::from(alphabet[index << (6 - six.len())])
        };
        bits.chunks(6).map(letter).collect()
    }

    fn number(value: u64, bits: u32) -> Vec<bool> {
        (0..bits).rev().map(|bit| value >> bit & 1 == 1).collect()
    }

    /// Encodes a number in Fibonacci coding.
    fn fibonacci(mut value: u64) -> Vec<bool> {
        let mut steps = vec![1_u64, 2];
        while steps[steps.len() - 1] <= value {
            steps.push(steps[steps.len() - 1] + steps[steps.len() - 2]);
        }
        steps.pop();
        let mut bits = vec![false; steps.len()];
        for (place, step) in steps.iter().enumerate().rev() {
            if *step <= value {
                value -= step;
                bits[place] = true;
            }
        }
        bits.push(true);
        bits
    }

    #[test]
    fn section_ranges_are_read_up_to_64() {
        for (first, more) in [(2, 10), (2, 60), (2, 1_000_000_000_000), (70, 1_000_000_000_000)] {
            let range = [vec![true], fibonacci(first), fibonacci(more)].concat();
            let next = [vec![true], fibonacci(1), fibonacci(1_000_000_000)].concat();
            let header = [number(3, 6), number(1, 6), number(2, 12), range, next].concat();
            let ids = sections(&coded(&header)).expect("a header");
            assert!(ids.len() <= 64 && ids.iter().all(|id| *id <= 64), "{first} {more}");
            let expected: Vec<u64> = (first..=(first + more).min(64)).collect();
            assert!(ids.starts_with(&expected), "{first} {more}: {ids:?}");
        }
    }

    #[test]
    fn any_opt_out_of_a_section_denies() {
        for section in &AMERICAN {
            for place in section.opt_outs {
                let mut bits = [number(1, 6), vec![false; 60]].concat();
                section.opt_outs.iter().for_each(|place| bits[*place] = true);
                assert_eq!(section.opts_out(&coded(&bits)), Some(false), "{}", section.id);
                (bits[*place], bits[place + 1]) = (false, true);
                assert_eq!(section.opts_out(&coded(&bits)), Some(true), "{} {place}", section.id);
            }
        }
    }
}
