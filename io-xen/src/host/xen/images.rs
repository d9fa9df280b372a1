//! Suspend images: open streams, what is written to them and read from them, and with which helper they are shared.
//!
//! A helper and the daemon have the same open file: each goes on where the other stopped.

use super::container;
use super::faults::fault;
use super::storage::Storage;
use std::cell::RefCell;
use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use xenops_core::host::{DomId, Fault, Handle, ImageMode, ImageRecord, Reply, StorageCall};
use xenops_core::interface::Disk;

/// Bytes at the beginning of a device that make an old image unreadable.
const BLANK: [u8; 4096] = [0; 4096];

struct Stream {
    file: Arc<File>,
    path: PathBuf,
    mode: ImageMode,
    datapath: Option<String>,
    // Whose state QEMU's record is.
    domid: Option<DomId>,
    at_start: bool,
}

/// All open streams.
pub struct Images {
    storage: Storage,
    // Where QEMU leaves its state and finds it.
    states: PathBuf,
    // What this instance's datapaths for images begin with.
    prefix: String,
    streams: RefCell<HashMap<Handle, Stream>>,
}

impl Images {
    /// None yet; lets go of disks that an earlier daemon of this instance had open.
    pub fn open(storage: Storage, states: &Path, instance: &str) -> Result<Images, Fault> {
        let prefix = format!("xenopsd/image/{instance}/");
        if let Reply::Names(left) = storage.call(StorageCall::List { prefix: prefix.clone() })? {
            for dp in left {
                storage.call(StorageCall::Destroy { dp })?;
            }
        }
        Ok(Images { storage, states: states.to_owned(), prefix, streams: RefCell::default() })
    }

    /// Opens one.
    pub async fn open_stream(&self, handle: Handle, disk: &Disk, mode: ImageMode) -> Result<(), Fault> {
        if self.streams.borrow().contains_key(&handle) {
            return Err(Fault::Exists(format!("stream {}", handle.0)));
        }
        let datapath = matches!(disk, Disk::Vdi(_)).then(|| format!("{}{}", self.prefix, handle.0));
        let (storage, disk, dp) = (self.storage.clone(), disk.clone(), datapath.clone());
        let (file, path) = smol::unblock(move || open(&storage, &disk, dp.as_deref(), mode)).await?;
        let stream = Stream { file: Arc::new(file), path, mode, datapath, domid: None, at_start: true };
        self.streams.borrow_mut().insert(handle, stream);
        Ok(())
    }

    /// The file of a stream, which a helper for this domain is given.
    pub fn hand_over(&self, handle: Handle, domid: Option<DomId>) -> Result<Arc<File>, Fault> {
        let mut streams = self.streams.borrow_mut();
        let stream = streams.get_mut(&handle).ok_or_else(|| unknown(handle))?;
        stream.domid = domid;
        Ok(stream.file.clone())
    }

    fn get(&self, handle: Handle, mode: ImageMode) -> Result<(Arc<File>, PathBuf, Option<DomId>), Fault> {
        let streams = self.streams.borrow();
        let stream = streams.get(&handle).filter(|stream| stream.mode == mode).ok_or_else(|| unknown(handle))?;
        Ok((stream.file.clone(), stream.path.clone(), stream.domid))
    }

    /// Appends a record; QEMU's with the state that it has left.
    pub async fn append(&self, handle: Handle, record: ImageRecord) -> Result<(), Fault> {
        let (file, path, domid) = self.get(handle, ImageMode::Save)?;
        let state = self.state("qemu-save", domid);
        smol::unblock(move || {
            let state = match record {
                ImageRecord::QemuTrad => {
                    let state = state.ok_or_else(|| Fault::Other("no helper was given the stream".to_owned()))?;
                    fs::read(&state).map_err(|error| fault(state.display(), &error))?
                }
                _ => Vec::new(),
            };
            let mut bytes = Vec::new();
            container::write(&mut bytes, &record, &state)
                .and_then(|()| (&*file).write_all(&bytes))
                .map_err(|error| fault(path.display(), &error))
        })
        .await
    }

    /// Reads a record; QEMU's state goes where QEMU will look.
    pub async fn read(&self, handle: Handle) -> Result<Option<ImageRecord>, Fault> {
        let (file, path, domid) = self.get(handle, ImageMode::Restore)?;
        let at_start = self.streams.borrow().get(&handle).is_some_and(|stream| stream.at_start);
        let state = self.state("qemu-resume", domid);
        let record = smol::unblock(move || {
            let record = container::read(&mut &*file, at_start).map_err(|error| fault(path.display(), &error))?;
            let Some(record) = record else { return Ok(None) };
            if record.kind == ImageRecord::QemuTrad {
                let state = state.ok_or_else(|| Fault::Other("no helper was given the stream".to_owned()))?;
                keep(&state, &record.state).map_err(|error| fault(state.display(), &error))?;
            }
            Ok(Some(record.kind))
        })
        .await?;
        if let Some(stream) = self.streams.borrow_mut().get_mut(&handle) {
            stream.at_start = false;
        }
        Ok(record)
    }

    fn state(&self, name: &str, domid: Option<DomId>) -> Option<PathBuf> {
        domid.map(|domid| self.states.join(format!("{name}.{domid}")))
    }

    /// Makes what was written durable, whoever wrote it.
    pub async fn sync(&self, handle: Handle) -> Result<(), Fault> {
        let (file, path, _) = self.get(handle, ImageMode::Save)?;
        smol::unblock(move || {
            let sync = || -> io::Result<()> {
                file.sync_all()?;
                if file.metadata()?.file_type().is_file()
                    && let Some(directory) = path.parent()
                {
                    File::open(directory)?.sync_all()?;
                }
                Ok(())
            };
            sync().map_err(|error| fault(path.display(), &error))
        })
        .await
    }

    /// Closes one; an unknown one is fine.
    pub async fn close(&self, handle: Handle) -> Result<(), Fault> {
        let stream = self.streams.borrow_mut().remove(&handle);
        if let Some(dp) = stream.and_then(|stream| stream.datapath) {
            let storage = self.storage.clone();
            smol::unblock(move || storage.call(StorageCall::Destroy { dp })).await?;
        }
        Ok(())
    }
}

fn unknown(handle: Handle) -> Fault {
    Fault::NotFound(format!("stream {}", handle.0))
}

fn open(storage: &Storage, disk: &Disk, dp: Option<&str>, mode: ImageMode) -> Result<(File, PathBuf), Fault> {
    let path = match (disk, dp) {
        (Disk::Vdi(vdi), Some(dp)) => {
            let (dp, vdi) = (dp.to_owned(), vdi.clone());
            let call = StorageCall::Attach { dp, vdi, domid: 0, read_write: mode == ImageMode::Save };
            match storage.call(call)? {
                Reply::Attached(attached) => PathBuf::from(attached.params),
                other => return Err(Fault::Other(format!("storage answered attach with {other:?}"))),
            }
        }
        (Disk::Local(path) | Disk::Vdi(path), _) => PathBuf::from(path),
    };
    let opened = open_file(&path, mode).map_err(|error| fault(path.display(), &error));
    if let (Err(_), Some(dp)) = (&opened, dp) {
        storage.call(StorageCall::Destroy { dp: dp.to_owned() })?;
    }
    opened.map(|file| (file, path))
}

fn open_file(path: &Path, mode: ImageMode) -> io::Result<File> {
    if !path.is_absolute() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the path is not absolute"));
    }
    if mode == ImageMode::Restore {
        return File::open(path);
    }
    // A guest's memory is nobody else's to read.
    let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
    if file.metadata()?.file_type().is_block_device() {
        file.write_all(&BLANK)?;
        file.sync_data()?;
        file.seek(SeekFrom::Start(0))?;
    } else {
        file.set_len(0)?;
    }
    Ok(file)
}

fn keep(path: &Path, state: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600).open(path)?.write_all(state)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;
    use std::io::Read;

    const SAVE: Handle = Handle(1);
    const RESTORE: Handle = Handle(2);

    fn images(scratch: &Scratch) -> Images {
        let root = scratch.path();
        fs::create_dir_all(root.join("disks/sr")).unwrap();
        let storage = Storage::open(&root.join("dps"), &[root.join("disks")]).unwrap();
        Images::open(storage, root, "a").unwrap()
    }

    async fn save(images: &Images, scratch: &Scratch, disk: &Disk) {
        images.open_stream(SAVE, disk, ImageMode::Save).await.unwrap();
        images.append(SAVE, ImageRecord::Signature).await.unwrap();
        images.append(SAVE, ImageRecord::Xenops("()".to_owned())).await.unwrap();
        let helper = images.hand_over(SAVE, Some(7)).unwrap();
        images.append(SAVE, ImageRecord::Libxc).await.unwrap();
        (&*helper).write_all(b"memory").unwrap();
        fs::write(scratch.path().join("qemu-save.7"), "devices").unwrap();
        images.append(SAVE, ImageRecord::QemuTrad).await.unwrap();
        images.append(SAVE, ImageRecord::EndOfImage).await.unwrap();
        images.sync(SAVE).await.unwrap();
        images.close(SAVE).await.unwrap();
    }

    #[test]
    fn an_image_is_read_as_daemon_and_helper_wrote_it() {
        let scratch = Scratch::new("images");
        let images = images(&scratch);
        fs::write(scratch.path().join("disks/sr/d"), vec![9; 100_000]).unwrap();
        let file = scratch.path().join("image").display().to_string();
        for disk in [Disk::Local(file), Disk::Vdi("sr/d".to_owned())] {
            smol::block_on(async {
                save(&images, &scratch, &disk).await;
                images.open_stream(RESTORE, &disk, ImageMode::Restore).await.unwrap();
                let helper = images.hand_over(RESTORE, Some(8)).unwrap();
                let read = async || images.read(RESTORE).await.unwrap();
                assert_eq!(read().await, Some(ImageRecord::Signature));
                assert_eq!(read().await, Some(ImageRecord::Xenops("()".to_owned())));
                assert_eq!(read().await, Some(ImageRecord::Libxc));
                let mut memory = [0; 6];
                (&*helper).read_exact(&mut memory).unwrap();
                assert_eq!(&memory, b"memory");
                assert_eq!(read().await, Some(ImageRecord::QemuTrad));
                assert_eq!(fs::read_to_string(scratch.path().join("qemu-resume.8")).unwrap(), "devices");
                assert_eq!(read().await, Some(ImageRecord::EndOfImage));
                assert_eq!(read().await, None);
                assert!(images.append(RESTORE, ImageRecord::EndOfImage).await.is_err(), "it is open to be read");
                images.close(RESTORE).await.unwrap();
                images.close(RESTORE).await.unwrap();
            });
        }
    }

    #[test]
    fn a_disk_is_held_while_it_is_open_and_let_go_by_the_next_daemon() {
        let scratch = Scratch::new("held");
        let first = images(&scratch);
        fs::write(scratch.path().join("disks/sr/d"), "").unwrap();
        let disk = Disk::Vdi("sr/d".to_owned());
        smol::block_on(async {
            first.open_stream(SAVE, &disk, ImageMode::Save).await.unwrap();
            let guest = || StorageCall::Attach { dp: "vbd/1/a".into(), vdi: "sr/d".into(), domid: 1, read_write: true };
            assert!(first.storage.call(guest()).is_err());
            let second = images(&scratch);
            second.storage.call(guest()).unwrap();
            assert!(second.open_stream(RESTORE, &disk, ImageMode::Restore).await.is_err());
            let missing = Disk::Local(scratch.path().join("none").display().to_string());
            let refused = second.open_stream(RESTORE, &missing, ImageMode::Restore).await;
            assert!(matches!(refused, Err(Fault::NotFound(_))), "{refused:?}");
        });
    }
}
