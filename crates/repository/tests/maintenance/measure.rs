//! Measurements, run by hand: `cargo nextest run -p repository --cargo-profile fast --run-ignored only measure --no-capture`.

use crate::support::*;
use repository::restic::check::{CheckOptions, ReadSubset, check};
use repository::{Cancel, Recorder};
use std::time::Instant;

#[test]
#[ignore = "takes a minute and measures instead of testing"]
fn measure_check_of_all_data_against_restic() {
    let bench = Bench::new();
    let mut random = fastrand::Rng::with_seed(1);
    for file in 0..2000 {
        // Text of random words compresses about as well as what people back up.
        let words: Vec<u8> = (0..60_000)
            .flat_map(|_| {
                [
                    b"alpha ".as_slice(),
                    b"beta ",
                    b"gamma ",
                    &[random.u8(..), random.u8(..), b' '],
                ][random.usize(..4)]
                .to_vec()
            })
            .collect();
        std::fs::write(bench.source().join(format!("f{file}")), words).unwrap();
    }
    bench.restic(&["backup", bench.source().to_str().unwrap()]);
    let repository = bench.open();
    for _ in 0..3 {
        let start = Instant::now();
        let options = CheckOptions {
            read_data: Some(ReadSubset::All),
        };
        let report = check(&repository, &options, &Cancel::default(), &Recorder::default()).unwrap();
        let ours = start.elapsed();
        assert!(report.is_healthy());
        let start = Instant::now();
        bench.restic(&["check", "--read-data"]);
        println!(
            "{} MB: ours {ours:.2?}, restic {:.2?}",
            report.read_bytes / 1_000_000,
            start.elapsed()
        );
    }
}
