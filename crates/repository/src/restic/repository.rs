//! An open repository: reading and writing whole objects and single blobs.

use super::cache::Cache;
use super::config::{ChunkerKind, Config};
use super::crypto::Key;
use super::index::file::IndexFile;
use super::index::{BlobLocation, Index};
use super::key::KeyFile;
use super::object::{self, ObjectKind};
use super::pack::BlobKind;
use super::snapshot::Snapshot;
use super::tree::Tree;
use crate::held::demand_deletion;
use crate::local::users::{Identity, identity};
use crate::{Error, Id, Monitor, Result};
use hashbrown::HashSet;
use parking_lot::Mutex;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::PathBuf;
use std::sync::Arc;
use storage::{ErrorKind, Store};

/// How to open a repository.
#[derive(Clone, Debug, Default)]
pub struct OpenOptions {
    /// Directory of the local cache; without one, everything works, slower.
    pub cache: Option<PathBuf>,
    /// The store is far away: keep trees and snapshots in the cache, and give locks time to become visible.
    pub remote: bool,
    /// Try this key first (a shortened id is enough).
    pub key_hint: Option<String>,
}

/// A repository that was opened with a password; clones share the store.
#[derive(Clone)]
pub struct Repository {
    store: Arc<dyn Store>,
    key: Key,
    key_id: Id,
    config: Config,
    cache: Option<Cache>,
    remote: bool,
    /// Locks of this process that are over, but that the store keeps for a time.
    released: Arc<Mutex<HashSet<Id>>>,
}

impl std::fmt::Debug for Repository {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Repository({} in {})", self.config.id.short(), self.store.location())
    }
}

/// Level of compression for what is not file content: small, and read often.
const METADATA_LEVEL: i32 = 3;

/// First byte of unpacked objects that are compressed.
const COMPRESSED_MARK: u8 = 2;

impl Repository {
    /// Create a repository in an empty store.
    pub fn init(store: Arc<dyn Store>, password: &[u8], chunker: ChunkerKind, options: &OpenOptions) -> Result<Self> {
        Self::create(store, password, Config::create(chunker), options)
    }

    /// Create a repository with this config in an empty store.
    pub fn create(store: Arc<dyn Store>, password: &[u8], config: Config, options: &OpenOptions) -> Result<Self> {
        if options.remote {
            refuse_missing_bucket(&*store)?;
        }
        make_room(&*store)?;
        let master = Key::random();
        let key_id = store_key(&*store, &master, password, &identity())?;
        let json = serde_json::to_vec(&config).unwrap_or_default();
        // Last, because it is what makes the place a repository.
        store.write("config", master.seal(&json).into())?;
        Ok(Self::assemble(store, master, key_id, config, options))
    }

    /// Open a repository.
    pub fn open(store: Arc<dyn Store>, password: &[u8], options: &OpenOptions) -> Result<Self> {
        let sealed = match store.read("config") {
            Err(error) if error.kind == ErrorKind::NotFound => {
                return Err(Error::NoRepository {
                    location: store.location(),
                });
            }
            other => other?,
        };
        let (key_id, key) = find_key(&*store, password, options.key_hint.as_deref())?;
        let json = key.open(&sealed).map_err(|error| Error::Damaged {
            object: "config",
            name: "config".to_owned(),
            reason: error.to_string(),
        })?;
        let config = Config::parse(&json)?;
        Ok(Self::assemble(store, key, key_id, config, options))
    }

    fn assemble(store: Arc<dyn Store>, key: Key, key_id: Id, config: Config, options: &OpenOptions) -> Self {
        let open_cache = |root: &PathBuf| Cache::open(root, &config.id, options.remote).ok();
        let cache = options.cache.as_ref().and_then(open_cache);
        Self {
            store,
            key,
            key_id,
            config,
            cache,
            remote: options.remote,
            released: Arc::default(),
        }
    }

    /// Where the objects are.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// Version, identity and chunker.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The key that seals everything.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// The key file that the password opened.
    pub fn key_id(&self) -> Id {
        self.key_id
    }

    /// The local cache, if there is one.
    pub fn cache(&self) -> Option<&Cache> {
        self.cache.as_ref()
    }

    /// Whether the store is far away.
    pub fn is_remote(&self) -> bool {
        self.remote
    }

    /// Whether blobs may be compressed: not in repositories of version 1.
    pub fn compresses(&self) -> bool {
        self.config.version >= 2
    }

    /// The ids and stored sizes of all objects of a kind.
    pub fn list(&self, kind: ObjectKind) -> Result<Vec<(Id, u64)>> {
        object::list(&*self.store, kind)
    }

    /// Read an object that is not a pack: verified, decrypted and decompressed.
    pub fn read_unpacked(&self, kind: ObjectKind, id: &Id) -> Result<Vec<u8>> {
        let cached = (kind == ObjectKind::Snapshot)
            .then(|| self.cache()?.read(kind, id))
            .flatten();
        let stored = match cached {
            Some(stored) => stored,
            None => self.read_stored(kind, id)?,
        };
        let plain = self
            .key
            .open(&stored)
            .map_err(|error| Error::damaged(kind.name(), id, error))?;
        match plain.first() {
            Some(&COMPRESSED_MARK) => {
                zstd::decode_all(&plain[1..]).map_err(|error| Error::damaged(kind.name(), id, error))
            }
            _ => Ok(plain),
        }
    }

    fn read_stored(&self, kind: ObjectKind, id: &Id) -> Result<Vec<u8>> {
        let stored = self.store.read(&kind.object_name(id))?;
        object::verify_name(kind, id, &stored)?;
        if kind == ObjectKind::Snapshot
            && let Some(cache) = &self.cache
        {
            cache.write(kind, id, &stored);
        }
        Ok(stored.into())
    }

    /// Read and parse an object that is not a pack.
    pub fn read_json<T: DeserializeOwned>(&self, kind: ObjectKind, id: &Id) -> Result<T> {
        let json = self.read_unpacked(kind, id)?;
        serde_json::from_slice(&json).map_err(|error| Error::damaged(kind.name(), id, error))
    }

    /// That an object which was just stored is there, with this size in bytes if it is known.
    pub fn confirm(&self, kind: ObjectKind, id: &Id, size: Option<u64>) -> Result<()> {
        let is_there = match self.store.stat(&kind.object_name(id)) {
            Ok(stored) => size.is_none_or(|size| size == stored),
            Err(error) if error.kind == ErrorKind::NotFound => false,
            Err(error) => return Err(error.into()),
        };
        let lost = || Error::NotStored {
            location: self.store.location(),
            object: kind.name(),
            name: id.to_string(),
        };
        if is_there { Ok(()) } else { Err(lost()) }
    }

    /// Store an object that is not a pack; returns its id.
    pub fn write_unpacked(&self, kind: ObjectKind, json: &[u8]) -> Result<Id> {
        let sealed = if self.compresses() {
            let mut marked = vec![COMPRESSED_MARK];
            zstd::stream::copy_encode(json, &mut marked, METADATA_LEVEL)
                .map_err(|error| Error::Verification(format!("cannot compress: {error}")))?;
            self.key.seal(&marked)
        } else {
            self.key.seal(json)
        };
        let id = Id::hash(&sealed);
        if let (ObjectKind::Snapshot, Some(cache)) = (kind, &self.cache) {
            cache.write(kind, &id, &sealed);
        }
        self.store.write(&kind.object_name(&id), sealed.into())?;
        Ok(id)
    }

    /// Store a value as JSON; returns the object's id.
    pub fn write_json<T: Serialize>(&self, kind: ObjectKind, value: &T) -> Result<Id> {
        let json = serde_json::to_vec(value).map_err(|error| Error::Verification(error.to_string()))?;
        self.write_unpacked(kind, &json)
    }

    /// Remember that a lock of this process is over although it is still there.
    pub(super) fn note_released(&self, lock: Id) {
        self.released.lock().insert(lock);
    }

    /// Whether this is a lock of this process that is over.
    pub(super) fn has_released(&self, lock: &Id) -> bool {
        self.released.lock().contains(lock)
    }

    /// Delete an object; it is no error if it is gone already.
    pub fn delete(&self, kind: ObjectKind, id: &Id) -> Result<()> {
        if let Some(cache) = &self.cache {
            cache.remove(kind, id);
        }
        Ok(self.store.delete(&kind.object_name(id))?)
    }

    /// That objects of these kinds can be deleted as far as rights go, before anything is done that needs it. Asked by deleting what is not
    /// there, which a store that only lets objects be added refuses, too. In a bucket with versions that leaves a delete marker, which is
    /// removed at once; with credentials that may not delete versions it stays, and takes up no more than its name.
    ///
    /// # Errors
    /// [`Error::AppendOnly`].
    pub fn demand_deletion(&self, kinds: &[ObjectKind]) -> Result<()> {
        for kind in kinds {
            let nothing = kind.object_name(&Id(rand::random()));
            demand_deletion(&*self.store, &nothing, kind.name())?;
        }
        Ok(())
    }

    /// Where every blob is, as the repository's index files say now.
    ///
    /// Whoever uses snapshots and the index together reads the snapshots' list first: an index that is read later knows
    /// everything that they refer to.
    pub fn load_index(&self) -> Result<Index> {
        let files: Vec<Id> = self.list(ObjectKind::Index)?.into_iter().map(|(id, _)| id).collect();
        let load = |id: &Id| IndexFile::parse(id, &self.read_unpacked(ObjectKind::Index, id)?);
        let side_file = self.cache.as_ref().map(Cache::index_file);
        let index = Index::load(&self.config.id, &files, side_file.as_deref(), load)?;
        if let Some(cache) = self.cache.as_ref().filter(|cache| cache.keeps_objects()) {
            let packs = index.packs();
            cache.retain(ObjectKind::Pack, |id| packs.contains(id));
        }
        Ok(index)
    }

    /// As [`Repository::load_index`], but index files that are damaged are passed over with a note, so that everything that the others
    /// list can be restored. Not for work that writes: what seems to be missing may be there.
    pub fn load_readable_index(&self, monitor: &dyn Monitor) -> Result<Index> {
        match self.load_index() {
            Err(error) if error.is_damage() => {}
            other => return other,
        }
        let files: Vec<Id> = self.list(ObjectKind::Index)?.into_iter().map(|(id, _)| id).collect();
        let load = |id: &Id| match self
            .read_unpacked(ObjectKind::Index, id)
            .and_then(|json| IndexFile::parse(id, &json))
        {
            Err(error) if error.is_damage() => {
                monitor.note(&format!("passed over, `mainstay repair index` replaces it: {error}"));
                Ok(IndexFile::default())
            }
            other => other,
        };
        // Without the side file, which would take the damaged file for one that lists nothing.
        Index::load(&self.config.id, &files, None, load)
    }

    /// All snapshots, oldest first. A damaged one is an error in its place.
    pub fn snapshots(&self) -> Result<Vec<Result<(Id, Snapshot)>>> {
        let ids: Vec<Id> = self.list(ObjectKind::Snapshot)?.into_iter().map(|(id, _)| id).collect();
        if let Some(cache) = &self.cache {
            let listed: hashbrown::HashSet<Id> = ids.iter().copied().collect();
            cache.retain(ObjectKind::Snapshot, |id| listed.contains(id));
        }
        Ok(self.read_snapshots(&ids))
    }

    /// These snapshots, oldest first. A damaged one is an error in its place.
    pub fn read_snapshots(&self, ids: &[Id]) -> Vec<Result<(Id, Snapshot)>> {
        let read = |id: &Id| Ok((*id, self.read_json::<Snapshot>(ObjectKind::Snapshot, id)?));
        let mut snapshots = super::parallel::map(ids, self.store.concurrency(), read);
        snapshots.sort_by_key(|one| one.as_ref().ok().map(|(id, snapshot)| (snapshot.time.timestamp(), *id)));
        snapshots
    }

    /// The plain text of a blob, from the first place where it is undamaged.
    pub fn read_blob(&self, index: &Index, kind: BlobKind, id: &Id) -> Result<Vec<u8>> {
        let mut first_error = None;
        for location in index.find_all(kind, id) {
            match self.read_blob_at(&location) {
                Ok(plain) => return Ok(plain),
                Err(error) => first_error = first_error.or(Some(error)),
            }
        }
        Err(first_error.unwrap_or_else(|| Error::damaged("blob", id, "it is missing: the index does not list it")))
    }

    /// The plain text of a blob at this place.
    pub fn read_blob_at(&self, location: &BlobLocation) -> Result<Vec<u8>> {
        let sealed = self.read_sealed_blob(location)?;
        super::compress::open_blob(&self.key, &location.blob, &sealed).map_err(|reason| Error::Damaged {
            object: "blob",
            name: format!("{} in pack {}", location.blob.id, location.pack),
            reason,
        })
    }

    fn read_sealed_blob(&self, location: &BlobLocation) -> Result<bytes::Bytes> {
        let (offset, length) = (u64::from(location.blob.offset), location.blob.length as usize);
        // Trees are read one after the other, so a pack of trees is fetched as a whole.
        if let Some(cache) = self.cache.as_ref().filter(|cache| cache.keeps_objects())
            && location.blob.kind == BlobKind::Tree
        {
            if let Some(sealed) = cache.read_range(ObjectKind::Pack, &location.pack, offset, length)
                && self.key.open(&sealed).is_ok()
            {
                return Ok(sealed.into());
            }
            let pack = self.store.read(&ObjectKind::Pack.object_name(&location.pack))?;
            if object::verify_name(ObjectKind::Pack, &location.pack, &pack).is_ok() {
                cache.write(ObjectKind::Pack, &location.pack, &pack);
            }
            let (start, end) = (offset as usize, offset as usize + length);
            let too_short = || Error::damaged("pack", &location.pack, "it is shorter than the index says");
            return if end <= pack.len() {
                Ok(pack.slice(start..end))
            } else {
                Err(too_short())
            };
        }
        let name = ObjectKind::Pack.object_name(&location.pack);
        Ok(self.store.read_range(&name, offset..offset + length as u64)?)
    }

    /// A directory.
    pub fn read_tree(&self, index: &Index, id: &Id) -> Result<Tree> {
        Tree::parse(id, &self.read_blob(index, BlobKind::Tree, id)?)
    }

    /// The key files, damaged ones as errors.
    pub fn keys(&self) -> Result<Vec<Result<(Id, KeyFile)>>> {
        let ids = self.list(ObjectKind::Key)?;
        Ok(ids
            .iter()
            .map(|(id, _)| read_key(&*self.store, id).map(|key| (*id, key)))
            .collect())
    }

    /// Add a password; returns the new key file's id. `owner` says whose it is.
    pub fn add_key(&self, password: &[u8], owner: &Identity) -> Result<Id> {
        store_key(&*self.store, &self.key, password, owner)
    }

    /// Remove a password. The one that this repository was opened with cannot be removed, so one always remains.
    pub fn remove_key(&self, id: &Id) -> Result<()> {
        if *id == self.key_id {
            return Err(Error::Refused {
                message: format!("key `{}` is the one in use", id.short()),
                hint: "Open the repository with another password, then remove this one.".to_owned(),
            });
        }
        self.delete(ObjectKind::Key, id)
    }
}

/// A directory is made where there is none; a bucket is its provider's to make, who asks for more than a name.
fn refuse_missing_bucket(store: &dyn Store) -> Result<()> {
    // These make directories as they need them.
    if ["sftp:", "rclone:"]
        .iter()
        .any(|scheme| store.location().starts_with(scheme))
    {
        return Ok(());
    }
    match store.list("keys") {
        Err(error) if error.kind == ErrorKind::NotFound => Err(Error::Refused {
            message: format!("there is no bucket at `{}`", store.location()),
            hint: "Check the address, or create the bucket with the provider's page or program.".to_owned(),
        }),
        other => Ok(other.map(drop)?),
    }
}

/// Refuse a place that holds a repository. Keys without anything else are left by an interrupted `init` and are removed: one of
/// them would open with the password but not fit the new config.
fn make_room(store: &dyn Store) -> Result<()> {
    match store.stat("config") {
        Ok(_) => {
            return Err(Error::AlreadyExists {
                location: store.location(),
            });
        }
        Err(error) if error.kind == ErrorKind::NotFound => {}
        Err(error) => return Err(error.into()),
    }
    for kind in [ObjectKind::Snapshot, ObjectKind::Index, ObjectKind::Pack] {
        if !list_if_there(store, kind)?.is_empty() {
            return Err(Error::Refused {
                message: format!(
                    "`{}` holds the remains of a repository without its config",
                    store.location()
                ),
                hint: "Put the `config` object back from a copy, or choose another address.".to_owned(),
            });
        }
    }
    for (id, _) in list_if_there(store, ObjectKind::Key)? {
        store.delete(&ObjectKind::Key.object_name(&id))?;
    }
    Ok(())
}

/// The objects of a kind, none if the place itself does not exist yet.
fn list_if_there(store: &dyn Store, kind: ObjectKind) -> Result<Vec<(Id, u64)>> {
    match object::list(store, kind) {
        Err(Error::Storage(error)) if error.kind == ErrorKind::NotFound => Ok(Vec::new()),
        other => other,
    }
}

fn store_key(store: &dyn Store, master: &Key, password: &[u8], owner: &Identity) -> Result<Id> {
    let file = KeyFile::create(master, password, &owner.username, &owner.hostname)?;
    // A key that cannot be opened again would lock its user out.
    if file.open(password)?.is_none() {
        return Err(Error::Verification(
            "a new key does not open with its password".to_owned(),
        ));
    }
    let json = serde_json::to_vec(&file).unwrap_or_default();
    let id = Id::hash(&json);
    store.write(&ObjectKind::Key.object_name(&id), json.into())?;
    Ok(id)
}

pub(super) fn read_key(store: &dyn Store, id: &Id) -> Result<KeyFile> {
    let stored = store.read(&ObjectKind::Key.object_name(id))?;
    object::verify_name(ObjectKind::Key, id, &stored)?;
    KeyFile::parse(id, &stored)
}

/// Try every key; a damaged one is passed over as long as another opens.
fn find_key(store: &dyn Store, password: &[u8], hint: Option<&str>) -> Result<(Id, Key)> {
    let mut ids: Vec<Id> = object::list(store, ObjectKind::Key)?
        .into_iter()
        .map(|(id, _)| id)
        .collect();
    ids.sort_by_key(|id| !hint.is_some_and(|hint| id.to_hex().starts_with(hint)));
    let mut damage = None;
    for id in &ids {
        match read_key(store, id).and_then(|file| file.open(password)) {
            Ok(Some(key)) => return Ok((*id, key)),
            Ok(None) => {}
            Err(error) => damage = damage.or(Some(error)),
        }
    }
    Err(damage.unwrap_or(Error::WrongPassword { keys: ids.len() }))
}
