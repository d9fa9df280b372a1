//! The ACPI tables of a guest without a device model: there is nobody else to tell it of its processors.
//!
//! RSDP, XSDT, FADT, FACS, MADT, and a DSDT that names each processor. The guest has no PC hardware beyond its
//! local interrupt controllers, so none is described.

use acpi_tables::aml::{Device, Name, Path, Scope};
use acpi_tables::facs::FACS;
use acpi_tables::fadt::{FADTBuilder, Flags};
use acpi_tables::madt::{EnabledStatus, LocalInterruptController, MADT, ProcessorLocalApic};
use acpi_tables::rsdp::Rsdp;
use acpi_tables::sdt::Sdt;
use acpi_tables::xsdt::XSDT;
use acpi_tables::{Aml, AmlSink};

/// Where the RSDP stands: in the BIOS's place, where a kernel looks that does not trust what it is told.
pub(super) const RSDP_ADDRESS: u64 = 0x10_0000 - RSDP_ROOM as u64;
/// Where the other tables stand: in the hole for devices, with nothing above them but Xen's own pages.
pub(super) const TABLES_ADDRESS: u64 = 0xfc00_0000;
/// Where each processor finds its interrupt controller.
pub(super) const LAPIC_ADDRESS: u32 = 0xfee0_0000;

/// Most processors whose interrupt controllers have 8-bit numbers.
pub(super) const MOST_VCPUS: u32 = 128;

const RSDP_ROOM: usize = 64;
const PAGE: usize = 4096;
const OEM: [u8; 6] = *b"Xen\0\0\0";
const TABLE: [u8; 8] = *b"HVM\0\0\0\0\0";
const REVISION: u32 = 0;

/// The system control interrupt, which never comes.
const SCI: u16 = 9;
/// Ports of the event and control registers, which read as all ones.
const PM1_EVENT: u32 = 0xb000;
const PM1_CONTROL: u32 = 0xb004;
/// There is no VGA and no clock chip.
const NO_VGA_NO_CLOCK: u16 = 1 << 2 | 1 << 5;
/// No deeper sleep than C1, as latencies beyond the limits say.
const TOO_SLOW: u16 = 0xfff;

/// What is put into the guest.
pub(super) struct Tables {
    /// At [`RSDP_ADDRESS`].
    pub(super) rsdp: Vec<u8>,
    /// At [`TABLES_ADDRESS`], whole pages.
    pub(super) tables: Vec<u8>,
}

/// Tables for so many processors, of which the first `online` are there at the start.
pub(super) fn tables(vcpus: u32, online: u32) -> Tables {
    let mut area = Area(Vec::new());
    let facs = area.put(64, bytes(&FACS::new()));
    let dsdt = area.put(16, dsdt(vcpus, online));
    let fadt = area.put(16, bytes(&fadt(facs, dsdt)));
    let madt = area.put(16, bytes(&madt(vcpus)));
    let mut xsdt = XSDT::new(OEM, TABLE, REVISION);
    xsdt.add_entry(fadt);
    xsdt.add_entry(madt);
    let xsdt = area.put(16, bytes(&xsdt));
    let mut rsdp = bytes(&Rsdp::new(OEM, xsdt));
    rsdp.resize(RSDP_ROOM, 0);
    let mut tables = area.0;
    tables.resize(tables.len().next_multiple_of(PAGE), 0);
    Tables { rsdp, tables }
}

/// Memory from [`TABLES_ADDRESS`] on.
struct Area(Vec<u8>);

impl Area {
    /// Puts a table there; its address.
    fn put(&mut self, align: usize, table: Vec<u8>) -> u64 {
        self.0.resize(self.0.len().next_multiple_of(align), 0);
        let address = TABLES_ADDRESS + self.0.len() as u64;
        self.0.extend(table);
        address
    }
}

struct Bytes(Vec<u8>);

impl AmlSink for Bytes {
    fn byte(&mut self, byte: u8) {
        self.0.push(byte);
    }
}

fn bytes(table: &dyn Aml) -> Vec<u8> {
    let mut bytes = Bytes(Vec::new());
    table.to_aml_bytes(&mut bytes);
    bytes.0
}

fn fadt(facs: u64, dsdt: u64) -> acpi_tables::fadt::FADT {
    let mut fadt = FADTBuilder::new(OEM, TABLE, REVISION)
        .flag(Flags::Wbinvd)
        .flag(Flags::ProcC1)
        .flag(Flags::PwrButton)
        .flag(Flags::SlpButton)
        .flag(Flags::FixRtc)
        .flag(Flags::TmrValExt)
        .flag(Flags::UsePlatformClock);
    // Both of each, as not everybody knows the wider ones.
    fadt.firmware_ctrl = (facs as u32).into();
    fadt.x_firmware_ctrl = facs.into();
    fadt.dsdt = (dsdt as u32).into();
    fadt.x_dsdt = dsdt.into();
    fadt.sci_int = SCI.into();
    fadt.pm1a_evt_blk = PM1_EVENT.into();
    fadt.pm1a_cnt_blk = PM1_CONTROL.into();
    fadt.pm1_evt_len = 4;
    fadt.pm1_cnt_len = 2;
    fadt.p_lvl2_lat = TOO_SLOW.into();
    fadt.p_lvl3_lat = TOO_SLOW.into();
    fadt.iapc_boot_arch = NO_VGA_NO_CLOCK.into();
    fadt.finalize()
}

/// All of them as enabled: a kernel has no number for the interrupt controller of one that is not, and no ACPI device that
/// would tell it later. Which are there is said in xenstore, where a kernel looks before anything runs on them.
fn madt(vcpus: u32) -> MADT {
    let mut madt = MADT::new(OEM, TABLE, REVISION, LocalInterruptController::Address(LAPIC_ADDRESS));
    for vcpu in 0..vcpus {
        // Xen numbers the interrupt controllers by twos.
        madt.add_structure(ProcessorLocalApic::new(vcpu as u8, (2 * vcpu) as u8, EnabledStatus::Enabled));
    }
    madt
}

fn dsdt(vcpus: u32, online: u32) -> Vec<u8> {
    let mut scope = Vec::new();
    for vcpu in 0..vcpus {
        // Present, enabled, shown and working; or nothing of that.
        let status = if vcpu < online { 0xfu8 } else { 0 };
        let kind = Name::new(Path::new("_HID"), &"ACPI0007");
        let number = Name::new(Path::new("_UID"), &vcpu);
        let status = Name::new(Path::new("_STA"), &status);
        let device = Device::new(Path::new(&format!("C{vcpu:03X}")), vec![&kind, &number, &status]);
        scope.extend(bytes(&device));
    }
    let mut dsdt = Sdt::new(*b"DSDT", 36, 2, OEM, TABLE, REVISION);
    dsdt.append_slice(&Scope::raw(Path::new("_SB_"), scope));
    dsdt.as_slice().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;
    use std::process::Command;

    fn u32_at(bytes: &[u8], at: usize) -> usize {
        u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize
    }

    fn sum(bytes: &[u8]) -> u8 {
        bytes.iter().fold(0, |sum, byte| sum.wrapping_add(*byte))
    }

    /// The table at an address.
    fn table(tables: &Tables, address: usize) -> &[u8] {
        let at = address - TABLES_ADDRESS as usize;
        &tables.tables[at..at + u32_at(&tables.tables, at + 4)]
    }

    // From the RSDP on everything is found, whole, and sums up to 0.
    #[test]
    fn tables_are_found_and_whole() {
        for (vcpus, online) in [(1, 1), (4, 2), (MOST_VCPUS, MOST_VCPUS)] {
            let all = tables(vcpus, online);
            assert_eq!((all.rsdp.len(), all.tables.len() % PAGE), (64, 0));
            assert_eq!((sum(&all.rsdp[..20]), sum(&all.rsdp[..36]), &all.rsdp[..8]), (0, 0, &b"RSD PTR "[..]));
            let xsdt = table(&all, u32_at(&all.rsdp, 24));
            assert_eq!((sum(xsdt), &xsdt[..4], xsdt.len()), (0, &b"XSDT"[..], 36 + 16));
            let fadt = table(&all, u32_at(xsdt, 36));
            assert_eq!((sum(fadt), &fadt[..4], fadt.len()), (0, &b"FACP"[..], 276));
            let facs = table(&all, u32_at(fadt, 36));
            assert_eq!((&facs[..4], facs.len(), u32_at(fadt, 36) % 64), (&b"FACS"[..], 64, 0));
            let dsdt = table(&all, u32_at(fadt, 40));
            assert_eq!((sum(dsdt), &dsdt[..4], u32_at(fadt, 140)), (0, &b"DSDT"[..], u32_at(fadt, 40)));
            let madt = table(&all, u32_at(xsdt, 44));
            assert_eq!((sum(madt), &madt[..4], madt.len()), (0, &b"APIC"[..], 44 + 8 * vcpus as usize));
            for (vcpu, entry) in madt[44..].chunks_exact(8).enumerate() {
                assert_eq!(entry, [0, 8, vcpu as u8, 2 * vcpu as u8, 1, 0, 0, 0]);
            }
        }
    }

    // The reference compiler reads what we wrote. Skipped, by name, where it is not installed.
    #[test]
    #[cfg_attr(miri, ignore = "starts a process")]
    fn the_reference_compiler_reads_them() {
        if Command::new("iasl").arg("-v").output().is_err() {
            println!("skipped: iasl is not installed (Debian: acpica-tools)");
            return;
        }
        let all = tables(3, 2);
        let xsdt = table(&all, u32_at(&all.rsdp, 24));
        let fadt = table(&all, u32_at(xsdt, 36));
        let scratch = Scratch::new("acpi");
        let parts = [
            ("dsdt", table(&all, u32_at(fadt, 40))),
            ("facp", fadt),
            ("apic", table(&all, u32_at(xsdt, 44))),
            ("xsdt", xsdt),
        ];
        for (name, bytes) in parts {
            let file = scratch.path().join(format!("{name}.dat"));
            std::fs::write(&file, bytes).unwrap();
            let output = Command::new("iasl").arg("-d").arg(&file).current_dir(scratch.path()).output().unwrap();
            let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
            assert!(output.status.success() && !said.contains("rror:") && !said.contains("nvalid"), "{name}: {said}");
            let text = std::fs::read_to_string(scratch.path().join(format!("{name}.dsl"))).unwrap();
            assert!(!text.contains("Incorrect checksum") && !text.contains("Invalid"), "{text}");
            if name == "dsdt" {
                assert!(text.contains("Device (C002)") && text.contains("\"ACPI0007\""), "{text}");
            }
        }
    }
}
