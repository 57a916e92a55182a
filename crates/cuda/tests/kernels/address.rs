//! Every kernel under AddressSanitizer: what it reads or writes outside of an array ends the program.

use crate::mock;
use std::process::Command;

#[test]
fn no_kernel_leaves_its_arrays() {
    let Some(folder) = mock::build("mock-cuda-address", &["address"]) else { return };
    let program = folder.join("test_kernels");
    let run = Command::new(&program).output().expect("it was built");
    let (said, complaint) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert!(run.status.success(), "{said}\n{complaint}");
    println!("{said}");
    assert!(said.contains(", 0 failed"), "{said}");
    let run = Command::new(&program).arg("too-little").output().expect("it was built");
    let complaint = String::from_utf8_lossy(&run.stderr);
    assert!(!run.status.success() && complaint.contains("more dynamic shared memory"), "{complaint}");
}
