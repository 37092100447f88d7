//! What is said: of each request one object, with what was asked for or why not.
//!
//! Invariant: an answer is one line, and no longer than what the parts that it is made of are bounded to.

use std::sync::Arc;

use iommu::vtd::Vtd;
use mmu::address::VirtAddr;
use pcie::Requester;
use serde_json::{Value, json};

use super::client::{MOST_LINE, Said};
use super::request::{self, Request, VERSION};
use crate::command::boot::journal::Journal;
use crate::kvm::Holder;
use crate::machine::control::{Control, State, Status};
use crate::machine::power_button::Pressed;

/// Bytes of reports in one answer, or one report.
const MOST_REPORTS_BYTES: usize = 64 << 10;

/// Whoever answers.
pub(in crate::command::boot) struct Desk {
    journal: Arc<Journal>,
}

impl Desk {
    pub(in crate::command::boot) fn new(journal: Arc<Journal>) -> Self {
        Self { journal }
    }

    /// Does what a client asks for; the answer is a line.
    pub(super) fn answer(&self, said: Said<'_>, control: &Control) -> Vec<u8> {
        let result = match said {
            Said::Line(line) => Request::parse(line).and_then(|request| self.carry_out(request, control)),
            Said::TooMuch => {
                Err(format!("a request is a line of less than {MOST_LINE} bytes; this connection ends"))
            }
        };
        let object = match result {
            Ok(result) => json!({ "api": VERSION, "result": result }),
            Err(error) => json!({ "api": VERSION, "error": error }),
        };
        format!("{object}\n").into_bytes()
    }

    fn carry_out(&self, request: Request, control: &Control) -> Result<Value, String> {
        match request {
            Request::State {} => Ok(state(control.status())),
            Request::Pause {} => match control.pause(Holder::Client) {
                true => Ok(state(control.status())),
                false => Err("a processor is busy with a device; it rests when that is over".to_owned()),
            },
            Request::Resume {} => {
                control.resume(Holder::Client);
                Ok(state(control.status()))
            }
            Request::PowerOff {} => match control.press_power_button() {
                Pressed::Heard => Ok(state(control.status())),
                Pressed::Unheard => {
                    Err("the guest does not listen for ACPI's power button; `quit` ends it".to_owned())
                }
            },
            Request::Quit {} => {
                control.leave();
                Ok(state(control.status()))
            }
            Request::Stale { from } => self.stale(from, control),
            Request::Iommu { device, pasid, address } => {
                iommu(unit(control)?, &device, pasid, address.as_deref())
            }
        }
    }

    fn stale(&self, from: u64, control: &Control) -> Result<Value, String> {
        let unit = unit(control)?;
        let page = self.journal.page(from, MOST_REPORTS_BYTES);
        let reports: Result<Vec<Value>, _> =
            page.reports.iter().map(|report| serde_json::from_str(report)).collect();
        Ok(json!({
            "count": unit.stale_use_count(),
            "changes_in_place": unit.change_in_place_count(),
            "from": page.first,
            "next": page.first + page.reports.len() as u64,
            "end": page.end,
            "reports": reports.map_err(|error| error.to_string())?,
        }))
    }
}

fn unit(control: &Control) -> Result<&Arc<Vtd>, String> {
    control.unit().ok_or_else(|| "this machine has no remapping unit (--iommu none)".to_owned())
}

fn state(status: Status) -> Value {
    json!({
        "state": match status.state {
            State::Running => "running",
            State::Paused => "paused",
            State::Ending => "ending",
        },
        "vcpus": status.processors,
        "at_rest": status.at_rest,
        "seconds": status.time.as_secs_f64(),
    })
}

fn iommu(unit: &Vtd, device: &str, pasid: Option<u32>, address: Option<&str>) -> Result<Value, String> {
    let source = request::device(device)?;
    let known = unit.sources();
    if !known.contains(&source) {
        let known: Vec<_> = known.iter().map(ToString::to_string).collect();
        return Err(format!("there is no device {source}; there is {}", known.join(", ")));
    }
    let requester = Requester { source, pasid: pasid.map(request::pasid).transpose()? };
    let mut found = unit.holdings(requester).to_json();
    if let Some(address) = address.map(request::address).transpose()? {
        found["walk"] = unit.walk_to_json(requester, VirtAddr(address));
    }
    Ok(found)
}
