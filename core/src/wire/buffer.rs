//! Bytes that come in at one end and go out at the other, in one allocation that is kept while small.

/// Capacity above which an emptied buffer gives its memory back.
const KEEP: usize = 64 << 10;

#[derive(Clone, Debug, Default)]
pub(super) struct Buffer {
    bytes: Vec<u8>,
    start: usize,
}

impl Buffer {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len() - self.start
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn append(&mut self, bytes: &[u8]) {
        self.end().extend_from_slice(bytes);
    }

    /// Where to write at the end.
    pub(super) fn end(&mut self) -> &mut Vec<u8> {
        // What is left moves to the front when it is the smaller part, so each byte moves O(1) times.
        if self.start > self.len() {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        &mut self.bytes
    }

    /// Takes `count` bytes, at most what is there, from the front.
    pub(super) fn consume(&mut self, count: usize) {
        self.start += count.min(self.len());
        if self.is_empty() {
            self.clear();
        }
    }

    pub(super) fn clear(&mut self) {
        self.start = 0;
        clear(&mut self.bytes);
    }
}

/// Empties `bytes`, keeping its memory unless it has grown large.
pub(super) fn clear(bytes: &mut Vec<u8>) {
    match bytes.capacity() {
        0..=KEEP => bytes.clear(),
        _ => *bytes = Vec::new(),
    }
}
