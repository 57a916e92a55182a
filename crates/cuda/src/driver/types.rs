//! The driver's types and constants that are used here, as `cuda.h` has them.

use std::ffi::c_void;

/// `CUresult`: 0 is success.
pub type Code = i32;
/// `CUdevice`.
pub type DeviceHandle = i32;
/// `CUdeviceptr`: an address in the card's memory.
pub type Address = u64;
/// `CUcontext`.
pub type ContextHandle = *mut c_void;
/// `CUstream`.
pub type StreamHandle = *mut c_void;
/// `CUmodule`.
pub type ModuleHandle = *mut c_void;
/// `CUfunction`.
pub type FunctionHandle = *mut c_void;
/// `CUevent`.
pub type EventHandle = *mut c_void;
/// `CUgraph`.
pub type GraphHandle = *mut c_void;
/// `CUgraphExec`.
pub type GraphExecHandle = *mut c_void;

/// `CUDA_SUCCESS`.
pub const SUCCESS: Code = 0;
/// `CUDA_ERROR_INVALID_VALUE`.
pub const INVALID_VALUE: Code = 1;
/// `CUDA_ERROR_OUT_OF_MEMORY`.
pub const OUT_OF_MEMORY: Code = 2;
/// `CUDA_ERROR_NO_DEVICE`.
pub const NO_DEVICE: Code = 100;
/// `CUDA_ERROR_INVALID_IMAGE`.
pub const INVALID_IMAGE: Code = 200;
/// `CUDA_ERROR_NO_BINARY_FOR_GPU`.
pub const NO_BINARY_FOR_GPU: Code = 209;
/// `CUDA_ERROR_INVALID_PTX`.
pub const INVALID_PTX: Code = 218;
/// `CUDA_ERROR_UNSUPPORTED_PTX_VERSION`.
pub const UNSUPPORTED_PTX_VERSION: Code = 222;

/// `CU_DEVICE_ATTRIBUTE_CLOCK_RATE`: kHz.
pub const ATTRIBUTE_CLOCK_RATE: i32 = 13;
/// `CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT`.
pub const ATTRIBUTE_MULTIPROCESSORS: i32 = 16;
/// `CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE`: kHz.
pub const ATTRIBUTE_MEMORY_CLOCK_RATE: i32 = 36;
/// `CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH`: bits.
pub const ATTRIBUTE_MEMORY_BITS: i32 = 37;
/// `CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR`: bytes.
pub const ATTRIBUTE_SHARED_BYTES: i32 = 81;
/// `CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR`.
pub const ATTRIBUTE_CAPABILITY_MAJOR: i32 = 75;
/// `CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR`.
pub const ATTRIBUTE_CAPABILITY_MINOR: i32 = 76;

/// `CU_STREAM_NON_BLOCKING`: no waiting for the default stream.
pub const STREAM_NON_BLOCKING: u32 = 1;
/// `CU_STREAM_CAPTURE_MODE_THREAD_LOCAL`: other threads may allocate meanwhile.
pub const CAPTURE_THREAD_LOCAL: i32 = 1;
/// `CUDA_GRAPH_INSTANTIATE_FLAG_USE_NODE_PRIORITY`: kernels have the priority of the stream that was recorded.
pub const GRAPH_NODE_PRIORITY: u64 = 8;
/// `CUlaunchConfig`.
#[repr(C)]
pub struct LaunchConfig {
    /// In each direction.
    pub blocks: [u32; 3],
    /// A block's, in each direction.
    pub threads: [u32; 3],
    /// Bytes of a block's dynamic shared memory.
    pub shared_bytes: u32,
    /// Where it is put.
    pub stream: StreamHandle,
    /// So many of them.
    pub attributes: *const LaunchAttribute,
    /// How many.
    pub attribute_count: u32,
}

/// `CUlaunchAttribute`: one whose value is an `int`. Others are pointers, so it begins where those do.
#[repr(C, align(8))]
pub struct LaunchAttribute {
    /// Which.
    pub id: i32,
    /// Its value begins at the eighth byte, and has room for 64.
    pub unused: u32,
    /// The value.
    pub value: [i32; 16],
}

/// `CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION`: the kernel may be launched before the one in front of it has ended, for
/// which it waits itself.
pub const ATTRIBUTE_EARLY: i32 = 6;
/// `CU_EVENT_DISABLE_TIMING`.
pub const EVENT_DISABLE_TIMING: u32 = 2;
/// `CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES`.
pub const FUNCTION_MAX_DYNAMIC_SHARED: i32 = 8;
