//! The driver's functions that are used here, looked up by name in an opened library.
//!
//! Names with a `_v2` are the ones that `cuda.h` has meant by the plain name since CUDA 3.2 (memory), 4.0 (destroying) and
//! 10.1 (capture). The newest is `cuLaunchKernelEx`, of CUDA 11.8.

use super::types::{
    Address, Code, ContextHandle, DeviceHandle, EventHandle, FunctionHandle, GraphExecHandle, GraphHandle,
    LaunchConfig, ModuleHandle, StreamHandle,
};
use libloading::Library;
use std::ffi::{c_char, c_uint, c_void};

macro_rules! functions {
    ($($field:ident: $symbol:literal ($($argument:ty),*);)*) => {
        /// A pointer for each function.
        pub struct Functions {
            $(#[doc = concat!("`", $symbol, "`")] pub $field: unsafe extern "system" fn($($argument),*) -> Code,)*
        }

        impl Functions {
            /// Their names.
            pub const NAMES: &'static [&'static str] = &[$($symbol),*];

            /// Looks all up; the name of the first that is missing where one is.
            pub fn of(library: &Library) -> Result<Self, &'static str> {
                Ok(Self {
                    // SAFETY: the type is that of the function of this name in `cuda.h`, and the library stays loaded
                    // as long as the process: `Driver` never closes it.
                    $($field: unsafe { *library.get($symbol).map_err(|_| $symbol)? },)*
                })
            }
        }
    };
}

functions! {
    init: "cuInit" (c_uint);
    driver_version: "cuDriverGetVersion" (*mut i32);
    error_name: "cuGetErrorName" (Code, *mut *const c_char);
    error_text: "cuGetErrorString" (Code, *mut *const c_char);
    device_count: "cuDeviceGetCount" (*mut i32);
    device: "cuDeviceGet" (*mut DeviceHandle, i32);
    device_name: "cuDeviceGetName" (*mut c_char, i32, DeviceHandle);
    device_memory: "cuDeviceTotalMem_v2" (*mut usize, DeviceHandle);
    device_attribute: "cuDeviceGetAttribute" (*mut i32, i32, DeviceHandle);
    context_retain: "cuDevicePrimaryCtxRetain" (*mut ContextHandle, DeviceHandle);
    context_release: "cuDevicePrimaryCtxRelease_v2" (DeviceHandle);
    context_set: "cuCtxSetCurrent" (ContextHandle);
    memory_info: "cuMemGetInfo_v2" (*mut usize, *mut usize);
    memory_allocate: "cuMemAlloc_v2" (*mut Address, usize);
    memory_free: "cuMemFree_v2" (Address);
    host_allocate: "cuMemHostAlloc" (*mut *mut c_void, usize, c_uint);
    host_free: "cuMemFreeHost" (*mut c_void);
    copy_to_device: "cuMemcpyHtoDAsync_v2" (Address, *const c_void, usize, StreamHandle);
    copy_to_host: "cuMemcpyDtoHAsync_v2" (*mut c_void, Address, usize, StreamHandle);
    fill_bytes: "cuMemsetD8Async" (Address, u8, usize, StreamHandle);
    stream_priorities: "cuCtxGetStreamPriorityRange" (*mut i32, *mut i32);
    stream_create: "cuStreamCreateWithPriority" (*mut StreamHandle, c_uint, i32);
    stream_destroy: "cuStreamDestroy_v2" (StreamHandle);
    stream_synchronize: "cuStreamSynchronize" (StreamHandle);
    stream_wait: "cuStreamWaitEvent" (StreamHandle, EventHandle, c_uint);
    module_load: "cuModuleLoadDataEx" (*mut ModuleHandle, *const c_void, c_uint, *mut i32, *mut *mut c_void);
    module_unload: "cuModuleUnload" (ModuleHandle);
    module_function: "cuModuleGetFunction" (*mut FunctionHandle, ModuleHandle, *const c_char);
    function_set_attribute: "cuFuncSetAttribute" (FunctionHandle, i32, i32);
    launch: "cuLaunchKernel" (FunctionHandle, c_uint, c_uint, c_uint, c_uint, c_uint, c_uint, c_uint, StreamHandle, *mut *mut c_void, *mut *mut c_void);
    launch_config: "cuLaunchKernelEx" (*const LaunchConfig, FunctionHandle, *mut *mut c_void, *mut *mut c_void);
    event_create: "cuEventCreate" (*mut EventHandle, c_uint);
    event_destroy: "cuEventDestroy_v2" (EventHandle);
    event_record: "cuEventRecord" (EventHandle, StreamHandle);
    event_synchronize: "cuEventSynchronize" (EventHandle);
    capture_begin: "cuStreamBeginCapture_v2" (StreamHandle, i32);
    capture_end: "cuStreamEndCapture" (StreamHandle, *mut GraphHandle);
    graph_instantiate: "cuGraphInstantiateWithFlags" (*mut GraphExecHandle, GraphHandle, u64);
    graph_destroy: "cuGraphDestroy" (GraphHandle);
    graph_exec_destroy: "cuGraphExecDestroy" (GraphExecHandle);
    graph_launch: "cuGraphLaunch" (GraphExecHandle, StreamHandle);
}
