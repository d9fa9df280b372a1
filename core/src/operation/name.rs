//! What logs, diagnostics and subtasks call operations and micro-ops: upstream's constructors.

use super::Operation;
use crate::backend::MicroOp;
use crate::recovery::Repair;

impl Operation {
    /// Upstream's name. A repair goes by the name of what upstream's check of a VM would run.
    pub fn name(&self) -> &'static str {
        match self {
            Operation::Start { .. } => "VM_start",
            Operation::Poweroff { .. } => "VM_poweroff",
            Operation::Reboot { .. } => "VM_reboot",
            Operation::Suspend { .. } => "VM_suspend",
            Operation::Resume { .. } => "VM_resume",
            Operation::VbdHotplug(_) => "VBD_hotplug",
            Operation::VbdHotunplug(..) => "VBD_hotunplug",
            Operation::VifHotplug(_) => "VIF_hotplug",
            Operation::VifHotunplug(..) => "VIF_hotunplug",
            Operation::Atomic(op) => op.name(),
            Operation::Remove => "VM_remove",
            Operation::ReplaceVbd(_) => "VBD_add",
            Operation::RemoveVbd(_) => "VBD_remove",
            Operation::RemoveVif(_) => "VIF_remove",
            Operation::Rename(_) => "VM_rename",
            Operation::ImportMetadata(_) => "VM_import_metadata",
            Operation::Repair(repair) => of_repair(repair),
        }
    }
}

fn of_repair(repair: &Repair) -> &'static str {
    match repair {
        Repair::Shutdown | Repair::FinishPoweroff | Repair::FinishSuspend | Repair::Clean { .. } => "VM_shutdown",
        Repair::Restart { .. } => "VM_reboot",
        Repair::Unpause => "VM_unpause",
        Repair::FastResume => "VM_fast_resume",
        Repair::Pause => "VM_pause",
        Repair::SoftReset => "VM_softreboot",
        Repair::DestroyDomains(_) => "VM_destroy",
        Repair::Remove => "VM_remove",
        Repair::Rename(_) => "VM_rename",
        Repair::ForgetImage
        | Repair::Unplug { .. }
        | Repair::Deactivate { .. }
        | Repair::Eject(_)
        | Repair::SetQos(_) => "VM_check_state",
    }
}

impl MicroOp {
    /// Upstream's name, where upstream has it.
    pub fn name(&self) -> &'static str {
        match self {
            MicroOp::Look => "VM_look",
            MicroOp::VmHookScript(..) | MicroOp::VmHookScriptAfter(..) => "VM_hook_script",
            MicroOp::VmCreate => "VM_create",
            MicroOp::VmBuild { .. } => "VM_build",
            MicroOp::VmCreateDeviceModel { .. } => "VM_create_device_model",
            MicroOp::VmDestroyDeviceModel => "VM_destroy_device_model",
            MicroOp::VmDestroy | MicroOp::VmDestroyDomains(_) => "VM_destroy",
            MicroOp::VmClean { .. } | MicroOp::VmEndEpochsAfter(_) => "VM_clean",
            MicroOp::VmForgetImage => "VM_forget_image",
            MicroOp::VmPause => "VM_pause",
            MicroOp::VmUnpause => "VM_unpause",
            MicroOp::VmShutdownDomain { .. } => "VM_shutdown_domain",
            MicroOp::VmSave(_) | MicroOp::VmSaveDialogue(_) => "VM_save",
            MicroOp::VmRestore(_) => "VM_restore",
            MicroOp::VmFastResume => "VM_fast_resume",
            MicroOp::VmS3Suspend => "VM_s3suspend",
            MicroOp::VmS3Resume => "VM_s3resume",
            MicroOp::VmSoftReset => "VM_softreboot",
            MicroOp::VmDelay(_) => "VM_delay",
            MicroOp::VmSetActionRequest(_) => "VM_set_domain_action_request",
            MicroOp::VmSetXsdata(_) => "VM_set_xsdata",
            MicroOp::VmSetVcpus(_) => "VM_set_vcpus",
            MicroOp::VmSetShadowMultiplier(_) => "VM_set_shadow_multiplier",
            MicroOp::VmSetMemoryDynamicRange(..) => "VM_set_memory_dynamic_range",
            MicroOp::VmRequestRdp(_) => "VM_request_rdp",
            MicroOp::VmRunScript(_) => "VM_run_script",
            MicroOp::VmRemove => "VM_remove",
            MicroOp::VmRename(_) => "VM_rename",
            MicroOp::VbdPlug(_) => "VBD_plug",
            MicroOp::VbdUnplug { .. } => "VBD_unplug",
            MicroOp::VbdSetActive(..) => "VBD_set_active",
            MicroOp::VbdEpochBegin(_) => "VBD_epoch_begin",
            MicroOp::VbdEpochEnd(_) | MicroOp::VbdForsake(_) => "VBD_epoch_end",
            MicroOp::VbdInsert(..) => "VBD_insert",
            MicroOp::VbdEject(_) => "VBD_eject",
            MicroOp::VbdSetQos(_) => "VBD_set_qos",
            MicroOp::VifPlug(_) => "VIF_plug",
            MicroOp::VifUnplug { .. } => "VIF_unplug",
            MicroOp::VifSetActive(..) => "VIF_set_active",
            MicroOp::VifMove(..) => "VIF_move",
            MicroOp::VifSetCarrier(..) => "VIF_set_carrier",
            MicroOp::VifSetLockingMode(..) => "VIF_set_locking_mode",
            MicroOp::VifSetTrunks(..) => "VIF_set_trunks",
            MicroOp::VifSetIpv4(..) => "VIF_set_ipv4_configuration",
            MicroOp::VifSetIpv6(..) => "VIF_set_ipv6_configuration",
        }
    }
}
