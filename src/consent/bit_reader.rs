//! Reader for base64url bit fields in IAB consent strings, most significant bit first.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::decode::MAX_BYTES;

/// A sequential bit reader.
#[derive(Debug)]
pub(super) struct BitReader {
    bytes: Vec<u8>,
    /// Number of bits, six per character.
    length: usize,
    at: usize,
}

impl BitReader {
    /// The bits of a base64url text. `None` if the text is invalid.
    pub(super) fn of(text: &str) -> Option<Self> {
        if text.len() > MAX_BYTES {
            return None;
        }
        // The last bits need not fill a byte: padding preserves them.
        let filled = format!("{text:A<width$}", width = text.len().next_multiple_of(4));
        let bytes = URL_SAFE_NO_PAD.decode(filled).ok()?;
        Some(Self { bytes, length: text.len() * 6, at: 0 })
    }

    /// Number of bits.
    pub(super) fn len(&self) -> usize {
        self.length
    }

    /// Sets the position.
    pub(super) fn seek(&mut self, at: usize) {
        self.at = at;
    }

    /// The position of the next bit.
    pub(super) fn place(&self) -> usize {
        self.at
    }

    /// The next bit; `None` at the end.
    pub(super) fn bit(&mut self) -> Option<bool> {
        let byte = self.bytes.get(self.at / 8).filter(|_| self.at < self.length)?;
        let bit = byte >> (7 - self.at % 8) & 1;
        self.at += 1;
        Some(bit == 1)
    }

    /// The next number with this many bits (at most 64).
    pub(super) fn number(&mut self, bits: usize) -> Option<u64> {
        (0..bits).try_fold(0, |number, _| Some(number << 1 | u64::from(self.bit()?)))
    }

    /// The next number in Fibonacci coding, which ends with two 1 bits.
    pub(super) fn fibonacci(&mut self) -> Option<u64> {
        let (mut number, mut step, mut next, mut last) = (0_u64, 1_u64, 2_u64, false);
        loop {
            let bit = self.bit()?;
            if bit && last {
                return Some(number);
            }
            if bit {
                number = number.checked_add(step)?;
            }
            last = bit;
            (step, next) = (next, step.checked_add(next)?);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_above_8_kib_are_not_decoded() {
        assert!(BitReader::of(&"A".repeat(8192)).is_some());
        assert!(BitReader::of(&"A".repeat(8193)).is_none());
    }
}
