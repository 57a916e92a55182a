//! The kernels that are checked in.

use flate2::Crc;
use flate2::read::GzDecoder;
use mobilenet_cuda::images::{COMPILED, Compiled, PTX};
use std::io::Read;
use std::path::Path;

fn text() -> String {
    let mut text = String::new();
    GzDecoder::new(PTX).read_to_string(&mut text).expect("PTX is text");
    text
}

/// The kernels in the PTX.
fn names(text: &str) -> impl Iterator<Item = &str> {
    let entries = text.lines().filter_map(|line| line.trim().strip_prefix(".visible .entry "));
    entries.map(|rest| rest.trim_end_matches('('))
}

/// As `scripts/cuda-kernels` sums them up.
fn checksum() -> u32 {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("kernels");
    let files = std::fs::read_dir(folder).expect("the sources are there").map(|file| file.unwrap().path());
    let is_source =
        |path: &std::path::PathBuf| path.extension().is_some_and(|kind| kind == "cu" || kind == "cuh");
    let mut files: Vec<_> = files.filter(is_source).collect();
    files.sort();
    let mut sum = Crc::new();
    for file in files {
        sum.update(file.file_name().unwrap().as_encoded_bytes());
        // Where git writes other ends of lines than are checked in.
        sum.update(std::fs::read_to_string(&file).unwrap().replace("\r\n", "\n").as_bytes());
    }
    sum.sum()
}

#[test]
fn it_belongs_to_the_sources() {
    let expected = format!("// mobilenet-native kernels, sources {:08x}", checksum());
    assert_eq!(
        text().lines().next(),
        Some(&expected[..]),
        "run scripts/cuda-kernels after a change of the kernels"
    );
}

#[test]
fn machine_code_is_of_the_same_sources_and_for_the_capability_that_it_is_said_to_be_for() {
    for Compiled { capability: (major, minor), bytes, .. } in COMPILED {
        let mut decoder = GzDecoder::new(bytes);
        let name = decoder.header().and_then(|header| header.filename()).map(String::from_utf8_lossy);
        let expected = format!("kernels-{:08x}.sm_{major}{minor}.cubin", checksum());
        assert_eq!(
            name.as_deref(),
            Some(&expected[..]),
            "run scripts/cuda-kernels after a change of the kernels"
        );
        let mut code = Vec::new();
        decoder.read_to_end(&mut code).unwrap();
        // The flags of its header say what it is for: in their first byte, since version 8 of the form in the second.
        let built_for = code[if code[8] < 8 { 48 } else { 49 }];
        assert_eq!((&code[..4], i32::from(built_for)), (&b"\x7fELF"[..], 10 * major + minor));
        // Nothing in it names the machine that it was made on.
        let has = |text: &str| code.windows(text.len()).any(|window| window == text.as_bytes());
        assert!(!has("/home/") && !has("/tmp/"));
        for name in names(&text()) {
            assert!(has(&format!(".text.{name}\0")), "{name} is missing for sm_{major}{minor}");
        }
    }
}

#[test]
fn drivers_of_cuda_12_and_cards_from_ampere_on_read_it() {
    let text = text();
    assert!(text.contains("\n.version 8.0\n") && text.contains("\n.target sm_80\n"));
    // Nothing in it names the machine that it was made on.
    assert!(!text.contains("/home/") && !text.contains("/tmp/") && !text.contains(".file"));
}

#[test]
fn the_list_of_kernels_is_complete() {
    let readme = include_str!("../../kernels/README.md");
    let text = text();
    let mut count = 0;
    for name in names(&text) {
        // Up to what stands in braces: product_forward, depthwise_backward_k, optimizer.
        let listed = (1..=name.len()).rev().any(|end| readme.contains(&format!("{}_{{", &name[..end])))
            || (1..=name.len())
                .rev()
                .any(|end| name[..end].len() > 8 && readme.contains(&format!("\n{}(", &name[..end])))
            || (1..=name.len()).rev().any(|end| readme.contains(&format!("\n{}{{", &name[..end])));
        assert!(listed, "{name} is not in kernels/README.md");
        count += 1;
    }
    assert!(count > 70, "{count}");
}
