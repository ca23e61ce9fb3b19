//! Names of archives.

use super::compression::Compression;
use super::encryption::Encryption;
use super::failure::refused;
use crate::Result;
use jiff::Zoned;

/// What names are made from: text, `%`-fields of strftime, and `{host}`, `{job}`, `{ext}`.
///
/// `{ext}` stands for `tar`, `tar.gz` or `tar.zst`, followed by `.age` or `.gpg` if the archive is encrypted; where it is not
/// written, it is added at the end unless the name ends in it anyway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameTemplate(String);

impl Default for NameTemplate {
    fn default() -> Self {
        Self("{host}/{job}-%Y-%m-%dT%H-%M-%S.{ext}".to_owned())
    }
}

impl NameTemplate {
    /// A template.
    ///
    /// # Errors
    /// [`Error::Refused`](crate::Error::Refused) if a field is unknown, or names would have characters that not every store takes.
    pub fn parse(text: &str) -> Result<Self> {
        let template = Self(text.to_owned());
        let sample = template.rendered(&Zoned::default(), "host", "job", "tar")?;
        checked(&sample, text)?;
        Ok(template)
    }

    /// The name of an archive that is begun at `time`.
    ///
    /// # Errors
    /// [`Error::Refused`](crate::Error::Refused) if the name would have characters that not every store takes: anything but letters,
    /// digits and `-_./`.
    pub fn render(
        &self,
        time: &Zoned,
        host: &str,
        job: &str,
        compression: Compression,
        encryption: &Encryption,
    ) -> Result<String> {
        for (what, value) in [("host", host), ("job", job)] {
            if self.0.contains(&format!("{{{what}}}")) && !value.bytes().all(is_plain) {
                return Err(refused(
                    &format!("the {what} `{value}` cannot be part of an archive's name"),
                    "Use letters, digits, `-`, `_` and `.`, or a name without this field.",
                ));
            }
        }
        let extension = match encryption.extension() {
            Some(outer) => format!("{}.{outer}", compression.extension()),
            None => compression.extension().to_owned(),
        };
        let mut name = self.rendered(time, host, job, &extension)?;
        name.push_str(missing(&name, &format!(".{extension}")));
        checked(&name, &self.0)?;
        Ok(name)
    }

    fn rendered(&self, time: &Zoned, host: &str, job: &str, extension: &str) -> Result<String> {
        // The time first: a host's name may have a `%` in it.
        let name = jiff::fmt::strtime::format(&self.0, time).map_err(|error| {
            refused(
                &format!("the name `{}` has a field that is not known: {error}", self.0),
                "Use fields of strftime such as `%Y-%m-%dT%H-%M-%S`, and `%%` for a percent sign.",
            )
        })?;
        let name = name
            .replace("{host}", host)
            .replace("{job}", job)
            .replace("{ext}", extension);
        match name.find(['{', '}']) {
            Some(_) => Err(refused(
                &format!("the name `{}` has a field that is not known", self.0),
                "The fields are `{host}`, `{job}` and `{ext}`, and those of strftime such as `%Y-%m-%d`.",
            )),
            None => Ok(name),
        }
    }
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')
}

/// What `name` lacks of an extension, of which it may have the beginning: `.age` of `.tar.zst.age`, if it ends with `.tar.zst`.
fn missing<'e>(name: &str, extension: &'e str) -> &'e str {
    let ends = extension.match_indices('.').map(|(at, _)| at).chain([extension.len()]);
    let there = ends.filter(|end| name.ends_with(&extension[..*end])).max();
    &extension[there.unwrap_or(0)..]
}

fn checked(name: &str, template: &str) -> Result<()> {
    let bad = |part: &str| part.is_empty() || matches!(part, "." | "..") || !part.bytes().all(is_plain);
    if name.split('/').any(bad) {
        return Err(refused(
            &format!("`{name}`, made from `{template}`, cannot be the name of an archive"),
            "Use letters, digits, `-`, `_`, `.`, and `/` between directories; `%H-%M` instead of `%H:%M`.",
        ));
    }
    if [super::manifest::SUFFIX, super::marker::SUFFIX]
        .iter()
        .any(|suffix| name.ends_with(suffix))
    {
        return Err(refused(
            &format!("`{name}` is a name that archives need for themselves"),
            "Let the name end in something else.",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::{AgeRecipients, GzipLevel};

    fn render(template: &str, host: &str) -> Result<String> {
        let time: Zoned = "2026-03-04T05:06:07+01:00[Europe/Berlin]".parse().unwrap();
        NameTemplate::parse(template)?.render(&time, host, "db", Compression::default(), &Encryption::None)
    }

    #[test]
    fn only_what_is_missing_is_added() {
        for (name, lacks) in [
            ("a", ".tar.zst.age"),
            ("a.tar", ".zst.age"),
            ("a.tar.zst", ".age"),
            ("a.tar.zst.age", ""),
            ("a.zst", ".tar.zst.age"),
        ] {
            assert_eq!(missing(name, ".tar.zst.age"), lacks, "{name}");
        }
        assert_eq!((missing("a.tar", ".tar"), missing("a", ".tar")), ("", ".tar"));
    }

    #[test]
    fn fields_are_filled_in() {
        for (template, expected) in [
            (
                "{host}-{job}-%Y-%m-%dT%H-%M-%S.{ext}",
                "a.b-db-2026-03-04T05-06-07.tar.zst",
            ),
            ("daily/%j", "daily/063.tar.zst"),
            ("x.tar.zst", "x.tar.zst"),
            ("x-%s", "x-1772597167.tar.zst"),
        ] {
            assert_eq!(render(template, "a.b").unwrap(), expected);
        }
        let time: Zoned = "2026-03-04T05:06:07Z[UTC]".parse().unwrap();
        let age = AgeRecipients::parse(["age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"]).unwrap();
        let name = NameTemplate::default().render(
            &time,
            "h",
            "j",
            Compression::Gzip(GzipLevel::default()),
            &Encryption::AgeRecipients(age),
        );
        assert_eq!(name.unwrap(), "h/j-2026-03-04T05-06-07.tar.gz.age");
    }

    #[test]
    fn what_not_every_store_takes_is_refused() {
        for (template, host) in [
            ("%H:%M", "h"),
            ("a b", "h"),
            ("{user}", "h"),
            ("%i9", "h"),
            ("/abs", "h"),
            ("a//b", "h"),
            ("../x", "h"),
            ("{host}", "a/../b"),
            ("{host}", "grüße"),
            ("{host}", "100%d"),
        ] {
            let error = render(template, host).unwrap_err();
            assert!(error.hint().is_some(), "{template} {host}: {error}");
        }
    }
}
