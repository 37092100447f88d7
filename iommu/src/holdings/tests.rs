//! What is listed for a device is what its caches hold, beside what the tables say now.

use pcie::Requester;
use serde_json::Value;

use crate::vtd::tests::driver::{DOMAIN, Driver, PAGE, SECOND_STAGE, SOURCE, load};

const DEVICE: Requester = Requester { source: SOURCE, pasid: None };

#[test]
fn a_cached_page_is_listed_with_what_the_tables_say_by_then() {
    let mut driver = Driver::legacy();
    let table = driver.attach_legacy(SOURCE, DOMAIN, 1);
    driver.map(SECOND_STAGE, table, PAGE, 1);
    let mut port = driver.port();
    load(&mut port).unwrap();
    let shown = driver.unit.holdings(DEVICE).to_json();
    assert_eq!(shown["route"]["translation"], "second");
    assert_eq!(shown["route"]["domain"], Value::from(DOMAIN.0));
    assert_eq!(shown["iotlb"]["count"], 1, "{shown}");
    let entry = &shown["iotlb"]["entries"][0];
    assert_eq!(entry["address"], format!("{:#x}", PAGE.0));
    assert_eq!((&entry["now"]["page"], &entry["fault"]), (&entry["cached"]["page"], &Value::Null));
    driver.unmap(SECOND_STAGE, table, PAGE);
    let shown = driver.unit.holdings(DEVICE).to_json();
    let entry = &shown["iotlb"]["entries"][0];
    assert!(entry["now"].is_null() && entry["cached"]["page"].is_string(), "{entry}");
    assert!(entry["fault"]["code"].is_u64(), "{entry}");
    let walk = driver.unit.walk_to_json(DEVICE, PAGE);
    assert!(walk["translation"].is_null() && walk["readings"].as_array().is_some_and(|all| all.len() > 2));
    assert_eq!(shown["device_tlb"]["count"], 0, "it does not translate ahead");
}
