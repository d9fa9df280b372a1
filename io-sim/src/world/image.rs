//! Suspend images: files of records, some of them not yet durable, one of them a guest's memory.

use super::lineage::{Lineage, Lineages};
use super::traits::Traits;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::Hash;
use xenops_core::host::{Canonical, DomId, Fault, Handle, ImageMode, ImageRecord};
use xenops_core::interface::Disk;

/// A guest's memory in an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Saved {
    /// Whose.
    pub lineage: Lineage,
    /// Which stretch of its execution it stands after.
    pub generation: u32,
    /// Pages.
    pub pages: u64,
    /// How many pages below every target it stays.
    pub below: i64,
    /// What the guest is like.
    pub traits: Traits,
}

/// What stands in an image's file, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// A record that the daemon wrote.
    Record(ImageRecord),
    /// What the helper wrote.
    Memory(Saved),
}

/// One image's file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image {
    /// All parts, as the running host sees them.
    pub parts: Vec<Part>,
    /// How many of them are durable.
    pub synced: usize,
}

impl Image {
    /// Whether it has a beginning, a guest's memory and an end.
    pub fn complete(&self) -> bool {
        self.parts.first() == Some(&Part::Record(ImageRecord::Signature))
            && self.parts.last() == Some(&Part::Record(ImageRecord::EndOfImage))
            && self.memory().is_some()
    }

    /// The guest in it.
    pub fn memory(&self) -> Option<Saved> {
        self.parts.iter().find_map(|part| if let Part::Memory(saved) = part { Some(*saved) } else { None })
    }

    fn lineages(&self) -> impl Iterator<Item = Lineage> {
        self.parts.iter().filter_map(|part| if let Part::Memory(saved) = part { Some(saved.lineage) } else { None })
    }
}

#[derive(Clone, Debug)]
struct Stream {
    image: Disk,
    mode: ImageMode,
    at: usize,
    /// The domain whose helper has it too.
    domid: Option<DomId>,
}

/// All images, and streams that are open on them.
#[derive(Clone, Debug, Default)]
pub struct Images {
    files: BTreeMap<Disk, Image>,
    streams: BTreeMap<Handle, Stream>,
    /// Streams that were closed before they were open: who opens one late closes it at once.
    shut: BTreeSet<Handle>,
}

impl Images {
    /// Every image, by its place.
    pub fn iter(&self) -> impl Iterator<Item = (&Disk, &Image)> {
        self.files.iter()
    }

    /// The image at a place.
    pub fn get(&self, disk: &Disk) -> Option<&Image> {
        self.files.get(disk)
    }

    /// Open streams: which image, and what for.
    pub fn streams(&self) -> impl Iterator<Item = (Handle, &Disk, ImageMode)> {
        self.streams.iter().map(|(handle, stream)| (*handle, &stream.image, stream.mode))
    }

    /// Files, and who reads or writes them.
    pub(super) fn fingerprint<H: Canonical>(&self, lineages: &Lineages, hash: &mut H) {
        let Images { files, streams, shut: _ } = self;
        hash.unordered(files, |hash, (disk, image)| {
            (disk, image.synced, image.parts.len()).hash(hash);
            for part in &image.parts {
                match part {
                    Part::Record(record) => record.hash(hash),
                    Part::Memory(Saved { lineage, generation, pages, below, traits }) => {
                        (pages, below, traits).hash(hash);
                        lineages.fingerprint(*lineage, *generation, hash);
                    }
                }
            }
        });
        hash.unordered(streams, |hash, (handle, stream)| {
            let Stream { image, mode, at, domid } = stream;
            (handle, image, mode, at, domid).hash(hash);
        });
    }

    /// Streams that were closed before they were opened.
    pub(super) fn shut(&self) -> impl Iterator<Item = &Handle> {
        self.shut.iter()
    }

    pub(super) fn open(
        &mut self,
        handle: Handle,
        disk: Disk,
        mode: ImageMode,
        lineages: &mut Lineages,
    ) -> Result<(), Fault> {
        if self.streams.contains_key(&handle) {
            return Err(Fault::Exists(format!("stream {}", handle.0)));
        }
        match mode {
            ImageMode::Save => {
                let old = self.files.insert(disk.clone(), Image::default());
                old.iter().flat_map(Image::lineages).for_each(|lineage| lineages.dropped(lineage));
            }
            ImageMode::Restore if !self.files.contains_key(&disk) => {
                return Err(Fault::NotFound(format!("suspend image {disk}")));
            }
            ImageMode::Restore => {}
        }
        if !self.shut.contains(&handle) {
            self.streams.insert(handle, Stream { image: disk, mode, at: 0, domid: None });
        }
        Ok(())
    }

    /// A complete image is there.
    pub(super) fn bring(&mut self, disk: &Disk, saved: Saved) {
        use ImageRecord::{EndOfImage, Libxc, Signature, Xenops};
        let before = [Signature, Xenops(String::new()), Libxc].map(Part::Record);
        let parts: Vec<Part> = before.into_iter().chain([Part::Memory(saved), Part::Record(EndOfImage)]).collect();
        let synced = parts.len();
        self.files.insert(disk.clone(), Image { parts, synced });
    }

    /// The record that was read last is this one, and what was read comes after it.
    pub(super) fn bring_before(&mut self, handle: Handle, record: ImageRecord) {
        if let Ok((stream, image)) = self.open_stream(handle, ImageMode::Restore)
            && let Some(last) = stream.at.checked_sub(1)
        {
            image.parts.insert(last, Part::Record(record));
            image.synced += 1;
        }
    }

    pub(super) fn hand_over(&mut self, handle: Handle, domid: DomId) {
        if let Some(stream) = self.streams.get_mut(&handle) {
            stream.domid = Some(domid);
        }
    }

    fn open_stream(&mut self, handle: Handle, mode: ImageMode) -> Result<(&mut Stream, &mut Image), Fault> {
        let lost = || Fault::NotFound(format!("stream {}", handle.0));
        let stream = self.streams.get_mut(&handle).filter(|stream| stream.mode == mode).ok_or_else(lost)?;
        let image = self.files.get_mut(&stream.image).ok_or_else(lost)?;
        Ok((stream, image))
    }

    /// The domain whose helper shares this stream.
    pub(super) fn domain_of(&self, handle: Handle) -> Option<DomId> {
        self.streams.get(&handle)?.domid
    }

    pub(super) fn append(&mut self, handle: Handle, record: ImageRecord) -> Result<(), Fault> {
        let (_, image) = self.open_stream(handle, ImageMode::Save)?;
        image.parts.push(Part::Record(record));
        Ok(())
    }

    pub(super) fn append_memory(&mut self, handle: Handle, saved: Saved) -> Result<(), Fault> {
        let (_, image) = self.open_stream(handle, ImageMode::Save)?;
        if image.parts.last() != Some(&Part::Record(ImageRecord::Libxc)) {
            return Err(Fault::Io("no record header before the guest's memory".to_owned()));
        }
        image.parts.push(Part::Memory(saved));
        Ok(())
    }

    pub(super) fn read(&mut self, handle: Handle) -> Result<Option<ImageRecord>, Fault> {
        let (stream, image) = self.open_stream(handle, ImageMode::Restore)?;
        match image.parts.get(stream.at) {
            None => Ok(None),
            Some(Part::Memory(_)) => Err(Fault::Io("bad record type".to_owned())),
            Some(Part::Record(record)) => {
                stream.at += 1;
                Ok(Some(record.clone()))
            }
        }
    }

    pub(super) fn read_memory(&mut self, handle: Handle) -> Result<Saved, Fault> {
        let (stream, image) = self.open_stream(handle, ImageMode::Restore)?;
        match image.parts.get(stream.at) {
            Some(Part::Memory(saved)) => {
                stream.at += 1;
                Ok(*saved)
            }
            _ => Err(Fault::Io("unexpected end of the guest's memory".to_owned())),
        }
    }

    pub(super) fn sync(&mut self, handle: Handle) -> Result<(), Fault> {
        let (_, image) = self.open_stream(handle, ImageMode::Save)?;
        image.synced = image.parts.len();
        Ok(())
    }

    pub(super) fn close(&mut self, handle: Handle) {
        if self.streams.remove(&handle).is_none() {
            self.shut.insert(handle);
        }
    }

    pub(super) fn close_all(&mut self) {
        self.streams.clear();
        self.shut.clear();
    }

    /// What was not synced is lost; `keep` says how many of so many further parts came through all the same.
    pub(super) fn lose_unsynced(&mut self, lineages: &mut Lineages, mut keep: impl FnMut(u32) -> u32) {
        for image in self.files.values_mut() {
            let unsynced = image.parts.len() - image.synced;
            image.synced += keep(unsynced as u32 + 1) as usize;
            let lost = Image { parts: image.parts.split_off(image.synced), synced: 0 };
            lost.lineages().for_each(|lineage| lineages.dropped(lineage));
        }
        self.files.retain(|_, image| !image.parts.is_empty());
    }
}
