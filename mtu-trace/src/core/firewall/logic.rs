//! Logic with three values: what depends on something unknown may still be certain.

/// Whether a condition holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Truth {
    True,
    False,
    Unknown,
}

impl Truth {
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::False, _) | (_, Self::False) => Self::False,
            (Self::True, Self::True) => Self::True,
            _ => Self::Unknown,
        }
    }

    pub fn or(self, other: Self) -> Self {
        self.not().and(other.not()).not()
    }

    pub fn not(self) -> Self {
        match self {
            Self::True => Self::False,
            Self::False => Self::True,
            Self::Unknown => Self::Unknown,
        }
    }

    pub fn not_if(self, negated: bool) -> Self {
        if negated { self.not() } else { self }
    }

    /// Whether any holds. One that does ends the search.
    pub fn any(truths: impl IntoIterator<Item = Self>) -> Self {
        let mut all = Self::False;
        for truth in truths {
            all = all.or(truth);
            if all == Self::True {
                break;
            }
        }
        all
    }
}

impl From<bool> for Truth {
    fn from(value: bool) -> Self {
        if value { Self::True } else { Self::False }
    }
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
        if (self.value ^ other) & self.known != 0 {
            Truth::False
        } else if self.known == u64::MAX {
            Truth::True
        } else {
            Truth::Unknown
        }
    }

    /// Whether the number fulfils what is asked, if it is known.
    pub fn test(self, asked: impl FnOnce(u64) -> bool) -> Truth {
        if self.known == u64::MAX {
            asked(self.value).into()
        } else {
            Truth::Unknown
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_certain_stays_so_beside_the_unknown() {
        assert_eq!(Truth::False.and(Truth::Unknown), Truth::False);
        assert_eq!(Truth::True.and(Truth::Unknown), Truth::Unknown);
        assert_eq!(Truth::True.or(Truth::Unknown), Truth::True);
        assert_eq!(Truth::False.or(Truth::Unknown), Truth::Unknown);
        assert_eq!(Truth::Unknown.not(), Truth::Unknown);
        assert_eq!(Truth::any([]), Truth::False);
    }

    #[test]
    fn known_bits_can_settle_a_comparison() {
        let half = Bits {
            value: 0,
            known: 0x3fff,
        };
        assert_eq!(half.equals(0), Truth::Unknown);
        assert_eq!(half.equals(1), Truth::False);
        assert_eq!(half.mask(0x1fff).equals(0), Truth::True);
        assert_eq!(Bits::UNKNOWN.mask(0).equals(0), Truth::True);
    }
}
