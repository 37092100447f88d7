//! The remapping unit on the command line: `none`, or `vtd` and `name=value` after commas.
//!
//! Invariant: what is not understood is an error that says what is accepted.

use iommu::vtd::options::{CacheSizes, CachingMode, VtdOptions};

use crate::machine::options::IommuKind;

/// What can be given.
const ACCEPTED: &str = "none, or vtd with caching-mode, scalable, five-levels, device-tlbs, page-requests or \
    interrupt-remapping =on or =off, iotlb, paging, context, pasid, interrupt or device-tlb =ENTRIES, caches=off or \
    caches=never-evict";

/// Entries of a cache at most.
const MOST_ENTRIES: usize = 1 << 20;

/// The kind that `text` describes.
pub(super) fn parse(text: &str) -> Result<IommuKind, String> {
    let mut words = text.split(',');
    let kind = words.next().unwrap_or_default();
    let mut iommu = match kind {
        "none" => IommuKind::None,
        "vtd" => IommuKind::default(),
        other => return Err(format!("no kind `{other}`; there is {ACCEPTED}")),
    };
    for word in words {
        set(&mut iommu, word)
            .ok_or_else(|| format!("`{word}` is no option of {kind}; there is {ACCEPTED}"))?;
    }
    Ok(iommu)
}

/// Sets the option that `word` describes; none if there is no such option or value.
fn set(iommu: &mut IommuKind, word: &str) -> Option<()> {
    let IommuKind::Vtd { unit, device_tlb_entries } = iommu else { return None };
    let (name, value) = word.split_once('=')?;
    if let Some(switch) = switch(unit, name) {
        *switch = on(value)?;
        return Some(());
    }
    match name {
        "caching-mode" => {
            unit.caching_mode = if on(value)? { CachingMode::AlsoAbsent } else { CachingMode::PresentOnly };
        }
        "caches" => unit.caches = caches(value)?,
        "device-tlb" => *device_tlb_entries = entries(value)?,
        name => *cache(&mut unit.caches, name)? = entries(value)?,
    }
    Some(())
}

fn switch<'unit>(unit: &'unit mut VtdOptions, name: &str) -> Option<&'unit mut bool> {
    match name {
        "scalable" => Some(&mut unit.scalable_mode),
        "five-levels" => Some(&mut unit.five_levels),
        "device-tlbs" => Some(&mut unit.device_tlb),
        "page-requests" => Some(&mut unit.page_requests),
        "interrupt-remapping" => Some(&mut unit.interrupt_remapping),
        _ => None,
    }
}

fn cache<'caches>(caches: &'caches mut CacheSizes, name: &str) -> Option<&'caches mut usize> {
    match name {
        "iotlb" => Some(&mut caches.iotlb),
        "paging" => Some(&mut caches.paging),
        "context" => Some(&mut caches.context),
        "pasid" => Some(&mut caches.pasid),
        "interrupt" => Some(&mut caches.interrupt),
        _ => None,
    }
}

fn caches(value: &str) -> Option<CacheSizes> {
    match value {
        "off" => Some(CacheSizes::OFF),
        "never-evict" => Some(CacheSizes::NEVER_EVICT),
        _ => None,
    }
}

fn entries(value: &str) -> Option<usize> {
    value.parse().ok().filter(|entries| *entries <= MOST_ENTRIES)
}

fn on(value: &str) -> Option<bool> {
    match value {
        "on" => Some(true),
        "off" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use iommu::vtd::options::{CacheSizes, CachingMode};

    use super::parse;
    use crate::machine::options::IommuKind;

    #[test]
    fn every_option_is_understood() {
        assert_eq!(parse("none"), Ok(IommuKind::None));
        assert_eq!(parse("vtd"), Ok(IommuKind::default()));
        let text = "vtd,caching-mode=on,scalable=off,five-levels=off,device-tlbs=off,page-requests=off,\
            interrupt-remapping=off,caches=off,iotlb=5,device-tlb=7";
        let Ok(IommuKind::Vtd { unit, device_tlb_entries }) = parse(text) else { panic!("{text}") };
        assert_eq!(unit.caching_mode, CachingMode::AlsoAbsent);
        let switches = [
            unit.scalable_mode,
            unit.five_levels,
            unit.device_tlb,
            unit.page_requests,
            unit.interrupt_remapping,
        ];
        assert_eq!(switches, [false; 5]);
        assert_eq!((unit.caches, device_tlb_entries), (CacheSizes { iotlb: 5, ..CacheSizes::OFF }, 7));
    }

    #[test]
    fn what_is_not_understood_says_what_is() {
        for text in
            ["", "smmu", "none,iotlb=1", "vtd,", "vtd,iotlb", "vtd,iotlb=-1", "vtd,scalable=1", "vtd,x=1"]
        {
            assert!(parse(text).unwrap_err().contains("there is none, or vtd"), "{text}");
        }
    }
}
