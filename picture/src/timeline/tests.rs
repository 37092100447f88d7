//! Timelines of the catalogue's scenarios, against what is known of them.
