//! Every kernel under AddressSanitizer: what it reads or writes outside of an array ends the program.

use crate::mock;
use std::process::Command;

#[test]
fn no_kernel_leaves_its_arrays() {
    let Some(folder) = mock::build("mock-cuda-address", &["address"]) else { return };
    let run = Command::new(folder.join("test_kernels")).output().expect("it was built");
    let (said, complaint) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert!(run.status.success(), "{said}\n{complaint}");
    println!("{said}");
    assert!(said.contains(", 0 failed"), "{said}");
}
