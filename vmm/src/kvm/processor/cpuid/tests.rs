//! The leaves as a guest reads them.

use std::collections::BTreeMap;

use kvm_bindings::kvm_cpuid_entry2;

use super::flags::CpuFlags;
use super::{Count, describe};

fn leaf(function: u32, [eax, ebx, ecx, edx]: [u32; 4]) -> kvm_cpuid_entry2 {
    kvm_cpuid_entry2 { function, eax, ebx, ecx, edx, ..Default::default() }
}

/// All that a host may say of itself.
fn supported() -> Vec<kvm_cpuid_entry2> {
    let mut leaves: Vec<_> =
        [0, 1, 7, 0xb, 0x1f, 0x8000_0008, 0x8000_001e].map(|it| leaf(it, [!0; 4])).to_vec();
    leaves[0].eax = 0x1f;
    for level in 1..4 {
        let caches = leaf(4, [!0 << 8 | level << 5 | 1, !0, !0, !0]);
        leaves.push(kvm_cpuid_entry2 { index: level - 1, ..caches });
    }
    leaves.push(kvm_cpuid_entry2 { index: 3, ..leaf(4, [0; 4]) });
    leaves
}

type Leaves = BTreeMap<(u32, u32), [u32; 4]>;

fn described(id: u32, count: u8, masked: &str) -> Leaves {
    let masked =
        if masked.is_empty() { CpuFlags::default() } else { masked.parse().expect("there are such") };
    let leaves = describe(supported(), id, Count(count), &masked);
    let by_number =
        |leaf: &kvm_cpuid_entry2| ((leaf.function, leaf.index), [leaf.eax, leaf.ebx, leaf.ecx, leaf.edx]);
    let found: Leaves = leaves.iter().map(by_number).collect();
    assert_eq!(found.len(), leaves.len(), "each leaf is there once");
    found
}

#[test]
fn every_leaf_has_the_same_number_and_the_same_cores() {
    for (count, bits) in [(1, 0), (2, 1), (3, 2), (4, 2), (5, 3), (64, 6)] {
        let number = u32::from(count) - 1;
        let leaves = described(number, count, "");
        let [_, ebx, _, edx] = leaves[&(1, 0)];
        assert_eq!((ebx >> 24, ebx >> 16 & 0xff), (number, u32::from(count)), "{count}");
        assert_eq!(edx >> 28 & 1, u32::from(count > 1), "{count}");
        for function in [0xb, 0x1f] {
            assert_eq!(leaves[&(function, 0)], [0, 1, 0x100, number], "a core is one thread");
            assert_eq!(leaves[&(function, 1)], [bits, count.into(), 0x201, number]);
            assert_eq!(leaves[&(function, 2)], [0, 0, 2, number]);
        }
        for (index, shared) in [(0, 0), (1, 0), (2, (1 << bits) - 1)] {
            let [eax, ..] = leaves[&(4, index)];
            assert_eq!((eax >> 26, eax >> 14 & 0xfff), ((1 << bits) - 1, shared), "{count}: cache {index}");
        }
        assert_eq!(leaves[&(4, 3)], [0; 4], "there is no fourth");
        let [_, _, ecx, _] = leaves[&(0x8000_0008, 0)];
        assert_eq!((ecx & 0xff, ecx >> 12 & 0xf), (number, bits));
        let [eax, ebx, ecx, _] = leaves[&(0x8000_001e, 0)];
        assert_eq!((eax, ebx, ecx), (number, number, 0));
    }
}

#[test]
fn a_processor_that_has_no_leaf_of_levels_gets_none() {
    let mut few = supported();
    few[0].eax = 7;
    let leaves = describe(few, 0, Count(2), &CpuFlags::default());
    assert!(leaves.iter().all(|leaf| ![0xb, 0x1f].contains(&leaf.function)));
}

#[test]
fn what_is_masked_is_cleared_and_nothing_else() {
    let (all, masked) = (described(0, 1, ""), described(0, 1, "-avx512f,-x2apic,-avx512f,-fpu"));
    for (number, registers) in &all {
        let mut expected = *registers;
        match number {
            (1, 0) => {
                expected[2] &= !(1 << 21);
                expected[3] &= !1;
            }
            (7, 0) => expected[1] &= !(1 << 16),
            _ => {}
        }
        assert_eq!(masked[number], expected, "{number:x?}");
    }
}

#[test]
fn a_flag_that_is_none_is_told_with_a_near_one() {
    for (wrong, told) in [
        ("-avx512", "is it `avx512f`?"),
        ("-x2apci", "is it `x2apic`?"),
        ("-qqqq", "as /proc/cpuinfo names it"),
        ("-", "no CPU flag ``"),
        ("avx", "`avx`: give -FLAG"),
        ("-fpu,", "``: give -FLAG"),
        ("--", "no CPU flag `-`"),
    ] {
        let error = wrong.parse::<CpuFlags>().expect_err(wrong);
        assert!(error.contains(told), "{wrong}: {error}");
    }
}

#[test]
fn bits_are_those_of_the_names() {
    // One near the end of each register, which a name that is missing before it would move.
    for (flag, number, register, bit) in [
        ("pbe", (1, 0), 3, 31),
        ("rdrand", (1, 0), 2, 30),
        ("avx512vl", (7, 0), 1, 31),
        ("enqcmd", (7, 0), 2, 29),
        ("arch_capabilities", (7, 0), 3, 29),
    ] {
        let (all, masked) = (described(0, 1, ""), described(0, 1, &format!("-{flag}")));
        assert_eq!(all[&number][register] ^ masked[&number][register], 1 << bit, "{flag}");
    }
}
