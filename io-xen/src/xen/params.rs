//! Parameters of hardware guests, by Xen's numbers.

/// How the guest is told of events; 0 until its paravirtual drivers have said it.
pub const CALLBACK_IRQ: u32 = 0;
/// Event channel of the store ring.
pub const STORE_EVTCHN: u32 = 2;
/// What of another vendor's hypervisor interface the guest sees.
pub const VIRIDIAN: u32 = 9;
/// What becomes of timer ticks that the guest missed.
pub const TIMER_MODE: u32 = 10;
/// Whether there is an HPET.
pub const HPET_ENABLED: u32 = 11;
/// The ACPI sleep state; writing 0 wakes.
pub const ACPI_S_STATE: u32 = 14;
/// Event channel of the console ring.
pub const CONSOLE_EVTCHN: u32 = 18;
/// The shutdown code of a triple fault.
pub const TRIPLE_FAULT_REASON: u32 = 31;
/// Where the guest keeps its generation id; 0 if nowhere.
pub const VM_GENERATION_ID_ADDR: u32 = 34;
/// How much of the floating point unit's instruction pointer is kept.
pub const X87_FIP_WIDTH: u32 = 36;
