//! Embedded storage: disks that are files or block devices of this host, and who has them attached.
//!
//! A disk `SR/VDI` is the logical volume `/dev/SR/VDI`, or the file or device (or a link to one) `SR/VDI` in the
//! storage directory. What is attached stands in one file per datapath in a directory that the next boot of the host
//! finds empty; all daemons of the host share it, and change it under its lock. An epoch of a disk that does not keep
//! what is written to it is a copy beside the disk: what is attached is the copy, and its existence is the epoch.

use super::faults::fault;
use rustix::fs::{FlockOperation, flock, ioctl_ficlone};
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use xenops_core::host::{Attached, DomId, Fault, Reply, StorageCall};
use xenops_core::interface::disk_attachment::{self, AttachedVdi, Implementation};

/// What a disk's copy is called, after its own name.
const COPY: &str = ".epoch";

/// A disk on a datapath.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Attachment {
    vdi: String,
    domid: DomId,
    read_write: bool,
    active: bool,
}

/// The storage of this host.
#[derive(Clone, Debug)]
pub struct Storage {
    datapaths: PathBuf,
    roots: Vec<PathBuf>,
}

impl Storage {
    /// Datapaths are in the one directory, disks are looked for in the others, in this order.
    pub fn open(datapaths: &Path, roots: &[PathBuf]) -> io::Result<Storage> {
        fs::create_dir_all(datapaths)?;
        Ok(Storage { datapaths: datapaths.to_owned(), roots: roots.to_vec() })
    }

    /// One call. Blocks.
    pub fn call(&self, call: StorageCall) -> Result<Reply, Fault> {
        let _lock = self.lock()?;
        match call {
            StorageCall::Attach { dp, vdi, domid, read_write } => {
                self.attach(&dp, Attachment { vdi, domid, read_write, active: false })
            }
            StorageCall::Activate { dp, vdi } => self.activate(&dp, &vdi, true),
            StorageCall::Deactivate { dp, vdi } => self.activate(&dp, &vdi, false),
            StorageCall::Destroy { dp } => remove(&self.file(&dp)).map(|()| Reply::Unit),
            StorageCall::EpochBegin { vdi, persistent: true } => self.find(&vdi).map(|_| Reply::Unit),
            StorageCall::EpochBegin { vdi, persistent: false } => self.begin(&vdi).map(|()| Reply::Unit),
            // A disk that has gone has no copy either.
            StorageCall::EpochEnd { vdi } => match self.find(&vdi) {
                Ok(path) => remove(&copy_of(&path)).map(|()| Reply::Unit),
                Err(_) => Ok(Reply::Unit),
            },
            StorageCall::List { prefix } => {
                let mut names: Vec<_> = self.all()?.into_iter().map(|(dp, _)| dp).collect();
                names.retain(|dp| dp.starts_with(&prefix));
                names.sort();
                Ok(Reply::Names(names))
            }
        }
    }

    fn lock(&self) -> Result<File, Fault> {
        let path = self.datapaths.join("lock");
        let open = || -> io::Result<File> {
            let file = OpenOptions::new().write(true).create(true).truncate(false).open(&path)?;
            flock(&file, FlockOperation::LockExclusive)?;
            Ok(file)
        };
        open().map_err(|error| fault(path.display(), &error))
    }

    fn attach(&self, dp: &str, wanted: Attachment) -> Result<Reply, Fault> {
        let disk = self.find(&wanted.vdi)?;
        for (other, held) in self.all()? {
            if other == dp {
                if held.vdi != wanted.vdi || held.read_write != wanted.read_write {
                    return Err(storage("Illegal_transition", &[dp]));
                }
            } else if held.vdi == wanted.vdi && !shares(&held, &wanted) {
                let text = format!("{other} has it {}", if held.read_write { "for writing" } else { "for reading" });
                return Err(storage("SR_BACKEND_FAILURE_24", &["", "The VDI is in use", &wanted.vdi, &text]));
            }
        }
        // Attached again it stays as active as it is.
        if self.read(&self.file(dp))?.is_none() {
            self.write(dp, &wanted)?;
        }
        let copy = copy_of(&disk);
        let path = if copy.exists() { copy } else { disk };
        let params = path.to_str().ok_or_else(|| storage("Vdi_does_not_exist", &[&wanted.vdi]))?.to_owned();
        let implementation = match is_block_device(&path) {
            true => Implementation::BlockDevice { path: params.clone() },
            false => Implementation::File { path: params.clone() },
        };
        let attach_info = disk_attachment::Attachment { implementations: vec![implementation] };
        let record = serde_json::to_string(&AttachedVdi { domid: 0, attach_info }).expect("a record is plain data");
        Ok(Reply::Attached(Attached { params, backend_kind: None, record }))
    }

    fn activate(&self, dp: &str, vdi: &str, active: bool) -> Result<Reply, Fault> {
        match self.read(&self.file(dp))? {
            Some(held) if held.vdi == vdi => self.write(dp, &Attachment { active, ..held })?,
            _ if active => return Err(storage("Illegal_transition", &["Detached", "Activated"])),
            _ => {}
        }
        Ok(Reply::Unit)
    }

    /// Where a disk is.
    fn find(&self, vdi: &str) -> Result<PathBuf, Fault> {
        let missing = || storage("Vdi_does_not_exist", &[vdi]);
        let (sr, name) = vdi.split_once('/').ok_or_else(missing)?;
        // One component each: a name never leaves its directory.
        if [sr, name].iter().any(|part| matches!(*part, "" | "." | "..") || part.contains('/')) || name.ends_with(COPY)
        {
            return Err(missing());
        }
        let places = self.roots.iter().map(|root| root.join(sr).join(name));
        let mut disks = places.filter(|path| path.is_file() || is_block_device(path));
        disks.next().ok_or_else(missing)
    }

    fn begin(&self, vdi: &str) -> Result<(), Fault> {
        let disk = self.find(vdi)?;
        if is_block_device(&disk) {
            return Err(Fault::Unsupported(format!("reset {vdi} at each start: it is a block device, not a file")));
        }
        let copy = copy_of(&disk);
        let partial = copy.with_extension("epoch-new");
        let duplicate = || -> io::Result<()> {
            let (from, to) = (File::open(&disk)?, File::create(&partial)?);
            if ioctl_ficlone(&to, &from).is_err() {
                drop(to);
                fs::copy(&disk, &partial)?;
            }
            fs::rename(&partial, &copy)
        };
        duplicate().map_err(|error| fault(copy.display(), &error))
    }

    fn file(&self, dp: &str) -> PathBuf {
        self.datapaths.join(escape(dp))
    }

    fn read(&self, path: &Path) -> Result<Option<Attachment>, Fault> {
        match fs::read(path) {
            Ok(text) => serde_json::from_slice(&text)
                .map(Some)
                .map_err(|error| Fault::Io(format!("{} cannot be understood: {error}", path.display()))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(fault(path.display(), &error)),
        }
    }

    // By another name first, which no datapath has: there is never half a file. What a crash of the host leaves of it
    // does not matter.
    fn write(&self, dp: &str, attachment: &Attachment) -> Result<(), Fault> {
        let (path, partial) = (self.file(dp), self.datapaths.join("new"));
        let write = || -> io::Result<()> {
            let mut file = File::create(&partial)?;
            file.write_all(&serde_json::to_vec(attachment)?)?;
            fs::rename(&partial, &path)
        };
        write().map_err(|error| fault(path.display(), &error))
    }

    fn all(&self) -> Result<Vec<(String, Attachment)>, Fault> {
        let entries = fs::read_dir(&self.datapaths).map_err(|error| fault(self.datapaths.display(), &error))?;
        let mut all = Vec::new();
        for entry in entries.flatten() {
            let Some(dp) = entry.file_name().to_str().and_then(unescape) else { continue };
            if let Some(attachment) = self.read(&entry.path())? {
                all.push((dp, attachment));
            }
        }
        Ok(all)
    }
}

/// One writer, or readers; a reader of the same domain may follow its writer.
fn shares(held: &Attachment, wanted: &Attachment) -> bool {
    match (held.read_write, wanted.read_write) {
        (false, false) => true,
        (true, false) => held.domid == wanted.domid,
        (_, true) => false,
    }
}

fn storage(code: &str, parameters: &[&str]) -> Fault {
    Fault::Storage(code.to_owned(), parameters.iter().map(|text| (*text).to_owned()).collect())
}

fn copy_of(disk: &Path) -> PathBuf {
    let mut name = disk.as_os_str().to_owned();
    name.push(COPY);
    name.into()
}

fn is_block_device(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.file_type().is_block_device())
}

fn remove(path: &Path) -> Result<(), Fault> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(fault(path.display(), &error)),
        _ => Ok(()),
    }
}

/// A datapath as a file's name: it begins with `dp-`, and only letters, digits, dots and dashes stand for themselves.
fn escape(dp: &str) -> String {
    let mut name = String::from("dp-");
    for byte in dp.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' => name.push(char::from(byte)),
            _ => name.push_str(&format!("%{byte:02x}")),
        }
    }
    name
}

fn unescape(name: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = name.strip_prefix("dp-")?.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first == b'%' {
            let (code, after) = rest.split_at_checked(2)?;
            bytes.push(u8::from_str_radix(str::from_utf8(code).ok()?, 16).ok()?);
            rest = after;
        } else {
            bytes.push(*first);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests;
