//! Writes a plain archive of a directory to a file, to compare its time and memory with pipelines of `tar` and its friends.
//!
//! `archive DIRECTORY OUT_DIRECTORY none|gzip|zstd LEVEL [AGE_RECIPIENT]`

use repository::archive::{
    AgeRecipients, Compression, Encryption, GzipLevel, NewArchive, Source, WriteOptions, ZstdLevel, write,
};
use repository::{Cancel, Recorder, clock};
use storage::LocalStore;

type Done = std::result::Result<(), Box<dyn std::error::Error>>;

fn main() -> Done {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [directory, out, method, level, recipients @ ..] = &arguments[..] else {
        return Err("usage: archive DIRECTORY OUT_DIRECTORY none|gzip|zstd LEVEL [AGE_RECIPIENT]".into());
    };
    let encryption = match recipients {
        [] => Encryption::None,
        some => Encryption::AgeRecipients(AgeRecipients::parse(some.iter().map(String::as_str))?),
    };
    let mut options = WriteOptions::new(encryption);
    options.compression = match method.as_str() {
        "gzip" => Compression::Gzip(GzipLevel::new(level.parse()?)?),
        "zstd" => Compression::Zstd(ZstdLevel::new(level.parse()?, false)?),
        _ => Compression::None,
    };
    let new = NewArchive {
        name: "measured".to_owned(),
        host: "here".to_owned(),
        job: "measure".to_owned(),
        start: clock::now(),
        original: None,
    };
    let store = LocalStore::new(out);
    let (cancel, monitor) = (Cancel::default(), Recorder::default());
    write(&store, &new, vec![Source::path(directory)], &options, &cancel, &monitor)?;
    Ok(())
}
