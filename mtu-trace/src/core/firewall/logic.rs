//! Logic with three values: what depends on something unknown may still be certain.

/// Whether a condition holds; `None` if that depends on something unknown.
pub type Truth = Option<bool>;

/// Whether both of two conditions hold.
pub fn and(one: Truth, other: Truth) -> Truth {
    match (one, other) {
        (Some(false), _) | (_, Some(false)) => Some(false),
        _ => one.and(other),
    }
}

/// Whether a condition does not hold.
pub fn not(truth: Truth) -> Truth {
    truth.map(|holds| !holds)
}

/// Whether any holds. One that does ends the search.
pub fn any(truths: impl IntoIterator<Item = Truth>) -> Truth {
    let mut all = Some(false);
    for truth in truths {
        match truth {
            Some(true) => return truth,
            Some(false) => {}
            None => all = None,
        }
    }
    all
}

/// A number of which only the bits of `known` are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bits {
    pub value: u64,
    pub known: u64,
}

impl Bits {
    pub const UNKNOWN: Self = Self { value: 0, known: 0 };

    pub fn of(value: u64) -> Self {
        Self {
            value,
            known: u64::MAX,
        }
    }

    /// With all bits outside of the mask zero.
    pub fn mask(self, mask: u64) -> Self {
        Self {
            value: self.value & mask,
            known: self.known | !mask,
        }
    }

    pub fn equals(self, other: u64) -> Truth {
        let differs = (self.value ^ other) & self.known != 0;
        if differs {
            Some(false)
        } else {
            self.exact().map(|_| true)
        }
    }

    /// The number, if all of it is known.
    pub fn exact(self) -> Option<u64> {
        (self.known == u64::MAX).then_some(self.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_certain_stays_so_beside_the_unknown() {
        assert_eq!(and(Some(false), None), Some(false));
        assert_eq!(and(None, Some(false)), Some(false));
        assert_eq!(and(Some(true), None), None);
        assert_eq!(and(Some(true), Some(true)), Some(true));
        assert_eq!(any([None, Some(true)]), Some(true));
        assert_eq!(any([Some(false), None]), None);
        assert_eq!(any([]), Some(false));
        assert_eq!(not(None), None);
    }

    #[test]
    fn known_bits_can_settle_a_comparison() {
        let half = Bits {
            value: 0,
            known: 0x3fff,
        };
        assert_eq!(half.equals(0), None);
        assert_eq!(half.equals(1), Some(false));
        assert_eq!(half.mask(0x1fff).equals(0), Some(true));
        assert_eq!(Bits::UNKNOWN.mask(0).equals(0), Some(true));
    }
}
