//! A suspend image around what the helper writes and reads.

use crate::backend::{Context, Failure, Host};
use crate::host::time::SECOND;
use crate::host::{Handle, ImageMode, ImageRecord, Now, Reply, Request};
use crate::interface::{Disk, Error};

/// Begin an image: what it is, and who wrote it.
pub(super) async fn begin(host: &Host, stream: Handle, disk: &Disk) -> Result<(), Failure> {
    host.act(Request::OpenImage { stream, disk: disk.clone(), mode: ImageMode::Save }).await?;
    append(host, stream, ImageRecord::Signature).await?;
    append(host, stream, ImageRecord::Xenops(header(host.context(), host.started()))).await
}

/// Append one record.
pub(super) async fn append(host: &Host, stream: Handle, record: ImageRecord) -> Result<(), Failure> {
    host.act(Request::AppendImage(stream, record)).await
}

/// End an image and make it durable. Whoever finds it from here on may resume from it.
pub(super) async fn end(host: &Host, stream: Handle) -> Result<(), Failure> {
    append(host, stream, ImageRecord::EndOfImage).await?;
    if mutant!(ImageNotSynced) {
        return Ok(());
    }
    host.act(Request::SyncImage(stream)).await
}

/// Open an image to read it.
pub(super) async fn open(host: &Host, stream: Handle, disk: &Disk) -> Result<(), Failure> {
    host.act(Request::OpenImage { stream, disk: disk.clone(), mode: ImageMode::Restore }).await?;
    match read(host, stream).await? {
        ImageRecord::Signature => Ok(()),
        _ => Err(Error::IoError.into()),
    }
}

/// The next record. An image that ends without saying so is not whole.
pub(super) async fn read(host: &Host, stream: Handle) -> Result<ImageRecord, Failure> {
    match host.request(Request::ReadImage(stream)).await? {
        Reply::Image(Some(record)) => Ok(record),
        _ => Err(Error::IoError.into()),
    }
}

/// Who wrote the image and when, as upstream's S-expression.
fn header(context: &Context, now: Now) -> String {
    let vm = serde_json::to_string(context.vm.as_ref()).expect("a row is plain data");
    let vm = serde_json::to_string(&vm).expect("a text is plain data");
    format!("((time {})(word_size 64)(vm_str {vm})(xs_subtree()))", rfc3339(now.wall / SECOND))
}

/// `2026-01-31T12:00:00Z` from seconds since 1970.
fn rfc3339(seconds: u64) -> String {
    let (days, second) = ((seconds / 86_400) as i64, seconds % 86_400);
    // Days are counted from 1 March of the year 0, so that a leap day is its year's last.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_as_text() {
        let table = [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_251_200, "2024-03-01T00:00:00Z"),
            (4_102_444_799, "2099-12-31T23:59:59Z"),
        ];
        for (seconds, expected) in table {
            assert_eq!(rfc3339(seconds), expected);
        }
    }
}
