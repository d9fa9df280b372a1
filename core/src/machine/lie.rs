//! A lie: what a mutant writes down when a repair begins. Only the next daemon reads it.

use super::rows::Row;
use crate::host::Now;
use crate::operation::Operation;
use crate::recovery::{Intent, Repair};

/// The row that it spoils; without mutants none.
pub(super) fn lie(op: &Operation, intent: Option<&Intent>, now: Now) -> Option<Row> {
    let Operation::Repair(repair) = op else { return None };
    match repair {
        Repair::FinishPoweroff if mutant!(PoweroffForgotten) => Some(Row::Intent(None)),
        Repair::Rename(_) if mutant!(RenameForgotten) => Some(Row::Intent(None)),
        Repair::FinishPoweroff | Repair::Clean { .. } if mutant!(RecordCleanedFirst) => Some(Row::Extra(None)),
        _ if mutant!(BootRenewed) => Some(Row::Intent(Some(Intent { boot: now.boot, ..intent?.clone() }))),
        _ => None,
    }
}
