//! Polynomials over GF(2), as far as restic's chunker needs them: bit `i` is the coefficient of x^i.
//!
//! Source: "Fingerprinting by Random Polynomials", Rabin 1981; irreducibility by Ben-Or's test as in Gao and Panario, "Tests and
//! Constructions of Irreducible Polynomials over Finite Fields", 1997.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A polynomial of degree at most 63.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Polynomial(pub u64);

/// Degree of the polynomials that restic draws.
const DEGREE: u32 = 53;

impl Polynomial {
    /// A random irreducible polynomial of degree 53.
    pub fn random() -> Self {
        loop {
            // Degree fixed by the top bit; without the constant term it would be divisible by x.
            let candidate = Self(rand::random::<u64>() & ((1 << DEGREE) - 1) | 1 << DEGREE | 1);
            if candidate.is_irreducible() {
                return candidate;
            }
        }
    }

    /// Index of the highest coefficient; 0 for the zero polynomial.
    pub fn degree(self) -> u32 {
        63_u32.saturating_sub(self.0.leading_zeros())
    }

    /// The remainder of a division by `divisor`.
    pub fn modulo(self, divisor: Self) -> Self {
        let mut rest = self.0;
        while rest != 0 && Self(rest).degree() >= divisor.degree() {
            rest ^= divisor.0 << (Self(rest).degree() - divisor.degree());
            if divisor.degree() == 0 {
                break;
            }
        }
        Self(rest)
    }

    fn multiply_modulo(self, other: Self, divisor: Self) -> Self {
        let (mut product, mut shifted) = (0, self.modulo(divisor).0);
        for bit in 0..=other.degree() {
            if other.0 >> bit & 1 == 1 {
                product ^= shifted;
            }
            shifted <<= 1;
            if shifted >> divisor.degree() & 1 == 1 {
                shifted ^= divisor.0;
            }
        }
        Self(product)
    }

    fn greatest_common_divisor(self, other: Self) -> Self {
        let (mut a, mut b) = (self, other);
        while b.0 != 0 {
            (a, b) = (b, a.modulo(b));
        }
        a
    }

    /// Whether it has no divisor but itself and 1.
    pub fn is_irreducible(self) -> bool {
        if !(2..63).contains(&self.degree()) {
            return false;
        }
        let x = Self(0b10);
        let mut power = x;
        (0..self.degree() / 2).all(|_| {
            power = power.multiply_modulo(power, self);
            self.greatest_common_divisor(Self(power.0 ^ x.0)).0 == 1
        })
    }
}

impl Serialize for Polynomial {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:x}", self.0))
    }
}

impl<'de> Deserialize<'de> for Polynomial {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        u64::from_str_radix(&text, 16)
            .map(Self)
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_irreducible_ones() {
        for known in [0b111, 0b1011, 0b10011, 0x3da3358b4dc173, 0x25b468838dcb75] {
            assert!(Polynomial(known).is_irreducible(), "{known:x}");
        }
        for reducible in [0, 1, 2, 0b101, 0b1111, 0x3da3358b4dc172, 0x25b468838dcb77] {
            assert!(!Polynomial(reducible).is_irreducible(), "{reducible:x}");
        }
        assert!(Polynomial::random().is_irreducible());
    }
}
