//! Guests on the real /dev/kvm. Without it each test says "skipped: ..." and passes.
//!
//! Invariant: counts and orders are asserted, never times; every wait has an end.

#[cfg(test)]
mod kvm_live {
    mod rig;

    mod guest;
    mod player;
    mod stale;
    mod zap;
}
