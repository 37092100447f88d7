//! Flags of CPUID by the names that Linux has for them, and those of them that a guest is not told.
//!
//! Invariant: `REGISTERS` is all there is; a name stands there once. A flag is a bit and nothing else: what rests on it is
//! for whoever masks it to mask, too. Source: Linux, arch/x86/include/asm/cpufeatures.h, as /proc/cpuinfo shows them.

use std::str::FromStr;

use kvm_bindings::kvm_cpuid_entry2;

/// Likeness of a name to another, of 1, from which on it is offered.
const NEAR: f64 = 0.7;

/// A register of a leaf.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Register {
    Eax,
    Ebx,
    Ecx,
    Edx,
}

/// Its leaf and subleaf, and its flags, from bit 0 on; `-` for those that Linux has no name for.
type Named = (u32, u32, Register, &'static str);

const REGISTERS: [Named; 11] = [
    (
        1,
        0,
        Register::Edx,
        "fpu vme de pse tsc msr pae mce cx8 apic - sep mtrr pge mca cmov pat pse36 pn clflush - dts acpi mmx fxsr sse \
         sse2 ss ht tm ia64 pbe",
    ),
    (
        1,
        0,
        Register::Ecx,
        "pni pclmulqdq dtes64 monitor ds_cpl vmx smx est tm2 ssse3 cid sdbg fma cx16 xtpr pdcm - pcid dca sse4_1 sse4_2 \
         x2apic movbe popcnt tsc_deadline_timer aes xsave osxsave avx f16c rdrand hypervisor",
    ),
    (
        7,
        0,
        Register::Ebx,
        "fsgsbase tsc_adjust sgx bmi1 hle avx2 - smep bmi2 erms invpcid rtm cqm - mpx rdt_a avx512f avx512dq rdseed adx \
         smap avx512ifma - clflushopt clwb intel_pt avx512pf avx512er avx512cd sha_ni avx512bw avx512vl",
    ),
    (
        7,
        0,
        Register::Ecx,
        "- avx512vbmi umip pku ospke waitpkg avx512_vbmi2 - gfni vaes vpclmulqdq avx512_vnni avx512_bitalg tme \
         avx512_vpopcntdq - la57 - - - - - rdpid - bus_lock_detect cldemote - movdiri movdir64b enqcmd - -",
    ),
    (
        7,
        0,
        Register::Edx,
        "- - avx512_4vnniw avx512_4fmaps fsrm - - - avx512_vp2intersect - md_clear - - - serialize - tsxldtrk - pconfig \
         arch_lbr ibt - amx_bf16 avx512_fp16 amx_tile amx_int8 - - flush_l1d arch_capabilities - -",
    ),
    (7, 1, Register::Eax, "- - - - avx_vnni avx512_bf16 - - - - - - - - - - - - - - - - - avx_ifma"),
    (0xd, 1, Register::Eax, "xsaveopt xsavec xgetbv1 xsaves"),
    (
        0x8000_0001,
        0,
        Register::Edx,
        "- - - - - - - - - - - syscall - - - - - - - - nx - mmxext - - fxsr_opt pdpe1gb rdtscp - lm 3dnowext 3dnow",
    ),
    (
        0x8000_0001,
        0,
        Register::Ecx,
        "lahf_lm cmp_legacy svm extapic cr8_legacy abm sse4a misalignsse 3dnowprefetch osvw ibs xop skinit wdt - lwp fma4 \
         - - nodeid_msr - tbm topoext perfctr_core perfctr_nb - - - - mwaitx",
    ),
    (0x8000_0007, 0, Register::Edx, "- - - - - - - - nonstop_tsc"),
    (0x8000_0008, 0, Register::Ebx, "clzero irperf xsaveerptr - rdpru - - - - wbnoinvd"),
];

/// A bit of CPUID.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Flag {
    name: &'static str,
    function: u32,
    index: u32,
    register: Register,
    mask: u32,
}

/// Flags that a guest is not told of.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CpuFlags {
    masked: Vec<Flag>,
}

impl CpuFlags {
    /// Clears them in `leaf`.
    pub(super) fn clear(&self, leaf: &mut kvm_cpuid_entry2) {
        for flag in &self.masked {
            if let Some(register) = flag.register_of(leaf) {
                *register &= !flag.mask;
            }
        }
    }

    /// The names of those that stand in `leaves` all the same.
    pub(in crate::kvm::processor) fn left_in(&self, leaves: &[kvm_cpuid_entry2]) -> Vec<&'static str> {
        let stands = |flag: &&Flag| {
            leaves.iter().any(|leaf| {
                let mut leaf = *leaf;
                flag.register_of(&mut leaf).is_some_and(|register| *register & flag.mask != 0)
            })
        };
        self.masked.iter().filter(stands).map(|flag| flag.name).collect()
    }
}

impl Flag {
    /// Where it stands in `leaf`, if it does.
    fn register_of(self, leaf: &mut kvm_cpuid_entry2) -> Option<&mut u32> {
        if (self.function, self.index) != (leaf.function, leaf.index) {
            return None;
        }
        Some(match self.register {
            Register::Eax => &mut leaf.eax,
            Register::Ebx => &mut leaf.ebx,
            Register::Ecx => &mut leaf.ecx,
            Register::Edx => &mut leaf.edx,
        })
    }
}

impl FromStr for CpuFlags {
    type Err = String;

    /// Flags to mask, as `-avx512f,-x2apic`.
    fn from_str(text: &str) -> Result<Self, String> {
        Ok(Self { masked: text.split(',').map(masked).collect::<Result<_, _>>()? })
    }
}

fn masked(word: &str) -> Result<Flag, String> {
    let name = word.strip_prefix('-').ok_or_else(|| {
        format!("`{word}`: give -FLAG to mask a flag; a guest has all others that KVM supports")
    })?;
    all().find(|flag| flag.name == name).ok_or_else(|| match nearest(name) {
        Some(near) => format!("there is no CPU flag `{name}`; is it `{near}`?"),
        None => format!("there is no CPU flag `{name}`; give one as /proc/cpuinfo names it"),
    })
}

/// Every flag that has a name.
fn all() -> impl Iterator<Item = Flag> {
    REGISTERS.into_iter().flat_map(|(function, index, register, names)| {
        let flag =
            move |(name, bit): (&'static str, u32)| Flag { name, function, index, register, mask: 1 << bit };
        names.split_whitespace().zip(0..).filter(|(name, _)| *name != "-").map(flag)
    })
}

fn nearest(name: &str) -> Option<&'static str> {
    let known = all().map(|flag| (flag.name, strsim::jaro_winkler(name, flag.name)));
    known.filter(|(_, like)| *like >= NEAR).max_by(|(_, a), (_, b)| a.total_cmp(b)).map(|(name, _)| name)
}
