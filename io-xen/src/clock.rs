//! Time, and which boot of the host it counts from; and randomness, once at start.

use rustix::time::{ClockId, clock_gettime};
use std::fs;
use std::io;
use std::time::Duration;
use xenops_core::host::Now;
use xenops_core::host::hash::Fingerprint;
use xenops_core::host::time::SECOND;

/// The host's clocks.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    boot: u64,
}

impl Clock {
    /// Reads which boot this is.
    pub fn new() -> io::Result<Clock> {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
        Ok(Clock { boot: Fingerprint::of(boot.trim()) })
    }

    /// The present moment.
    pub fn now(&self) -> Now {
        Now { boot: self.boot, mono: mono(), wall: read(ClockId::Realtime) }
    }
}

/// Nanoseconds since the host's boot.
pub fn mono() -> u64 {
    read(ClockId::Monotonic)
}

/// How long from now until a monotonic moment; zero when it is past.
pub fn until(mono_ns: u64) -> Duration {
    Duration::from_nanos(mono_ns.saturating_sub(mono()))
}

fn read(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    // A wall clock set before 1970 is of no use as a number, so it stands still there.
    u64::try_from(time.tv_sec).unwrap_or(0).saturating_mul(SECOND).saturating_add(time.tv_nsec as u64)
}

/// Fresh random bytes from the kernel.
pub fn entropy() -> io::Result<[u8; 32]> {
    let mut bytes = [0; 32];
    let mut filled = 0;
    while filled < bytes.len() {
        filled += rustix::rand::getrandom(&mut bytes[filled..], rustix::rand::GetRandomFlags::empty())?;
    }
    Ok(bytes)
}

/// `YYYYMMDDThh:mm:ss.mmmZ` of a wall clock's nanoseconds.
pub fn stamp(wall_ns: u64) -> String {
    let seconds = wall_ns / SECOND;
    let (year, month, day) = civil(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    let milliseconds = wall_ns % SECOND / 1_000_000;
    format!("{year:04}{month:02}{day:02}T{hour:02}:{minute:02}:{second:02}.{milliseconds:03}Z")
}

// Years are counted from March, so that the leap day comes last; 146,097 days are 400 years.
fn civil(days_since_1970: u64) -> (u64, u64, u64) {
    let days = days_since_1970 + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_are_utc_dates() {
        for (seconds, text) in [
            (0, "19700101T00:00:00.000Z"),
            (951_782_400, "20000229T00:00:00.000Z"),
            (1_709_251_199, "20240229T23:59:59.000Z"),
            (4_107_542_400, "21000301T00:00:00.000Z"),
        ] {
            assert_eq!(stamp(seconds * SECOND), text);
        }
        assert_eq!(stamp(1_234), "19700101T00:00:00.000Z");
        assert_eq!(stamp(12_000_000), "19700101T00:00:00.012Z");
    }
}
