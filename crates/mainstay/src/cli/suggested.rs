//! Values that a shell offers for options that take others as well.

use clap::builder::{PossibleValue, TypedValueParser};
use std::error::Error;
use std::ffi::OsStr;
use std::marker::PhantomData;
use std::str::FromStr;

/// Parses with [`FromStr`]; the values given are only offered.
#[derive(Clone, Debug)]
pub struct Suggested<T> {
    values: &'static [&'static str],
    parsed: PhantomData<fn() -> T>,
}

/// For `#[arg(value_parser = suggest::<T>(&[…]))]`.
pub fn suggest<T>(values: &'static [&'static str]) -> Suggested<T> {
    Suggested {
        values,
        parsed: PhantomData,
    }
}

impl<T> TypedValueParser for Suggested<T>
where
    T: FromStr + Clone + Send + Sync + 'static,
    T::Err: Error + Send + Sync + 'static,
{
    type Value = T;

    fn parse_ref(
        &self,
        command: &clap::Command,
        argument: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<T, clap::Error> {
        TypedValueParser::parse_ref(&T::from_str, command, argument, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(self.values.iter().map(PossibleValue::new)))
    }
}
