//! Reading many blobs of files, one after the other.

use super::compress::Opener;
use super::index::Index;
use super::object::ObjectKind;
use super::pack::BlobKind;
use super::repository::Repository;
use crate::{Id, Result};

/// Reads content of files with a context that is used again; each thread has one.
pub struct BlobReader<'a> {
    repository: &'a Repository,
    index: &'a Index,
    /// Without one, everything is read the thorough way.
    opener: Option<Opener>,
}

impl<'a> BlobReader<'a> {
    /// With a context of its own.
    pub fn new(repository: &'a Repository, index: &'a Index) -> Self {
        Self {
            repository,
            index,
            opener: Opener::new().ok(),
        }
    }

    /// Replace `plain` by the blob's plain text, which is compared with its id.
    ///
    /// # Errors
    /// [`Error::Damaged`](crate::Error::Damaged) if it is nowhere as it was written; those of the store.
    pub fn read(&mut self, id: &Id, plain: &mut Vec<u8>) -> Result<()> {
        if self.read_quickly(id, plain).is_none() {
            *plain = self.repository.read_blob(self.index, BlobKind::Data, id)?;
        }
        Ok(())
    }

    /// The usual case; whatever is wrong is found out by the thorough way.
    fn read_quickly(&mut self, id: &Id, plain: &mut Vec<u8>) -> Option<()> {
        let found = self.index.find(BlobKind::Data, id)?;
        let (start, length) = (u64::from(found.blob.offset), u64::from(found.blob.length));
        let name = ObjectKind::Pack.object_name(&found.pack);
        let sealed = self.repository.store().read_range(&name, start..start + length).ok()?;
        let opener = self.opener.as_mut()?;
        opener.open(self.repository.key(), &found.blob, &sealed, plain).ok()
    }
}
