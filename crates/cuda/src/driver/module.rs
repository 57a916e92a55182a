//! Kernels: loaded, found by name, launched.

use super::types::{
    ATTRIBUTE_EARLY, FUNCTION_MAX_DYNAMIC_SHARED, FunctionHandle, INVALID_IMAGE, LaunchAttribute,
    LaunchConfig, ModuleHandle, OUT_OF_MEMORY, SUCCESS,
};
use super::{Arguments, Context, Stream};
use flate2::read::GzDecoder;
use mobilenet_core::{Error, Result};
use std::ffi::CString;
use std::io::Read;
use std::ptr::null_mut;
use std::sync::Arc;

/// Kernels that the driver has compiled for a card.
#[derive(Debug)]
pub struct Module {
    context: Arc<Context>,
    handle: ModuleHandle,
    /// Whether its kernels wait for the one in front of them themselves.
    waits: bool,
}

/// Kernels as a driver takes them, compressed by gzip: PTX or machine code.
#[derive(Debug, Clone, Copy)]
pub struct Image {
    /// The compressed bytes.
    pub bytes: &'static [u8],
    /// Whether its kernels wait for the one in front of them themselves, so that they may be launched before that has ended.
    pub waits: bool,
}

// SAFETY: the driver lets any thread use a module.
unsafe impl Send for Module {}
// SAFETY: and several at once.
unsafe impl Sync for Module {}

impl Module {
    /// The first of `images` that the driver takes for this card.
    ///
    /// # Errors
    /// `DEVICE_UNAVAILABLE` when driver or card are too old for the last of them.
    pub fn load(context: &Arc<Context>, images: &[Image]) -> Result<Arc<Self>> {
        let mut code = INVALID_IMAGE;
        // Whatever a driver has against machine code (its form, or what made it), it may take the text that comes last.
        for Image { bytes, waits } in images.iter().copied() {
            let mut image = Vec::new();
            GzDecoder::new(bytes).read_to_end(&mut image).map_err(Error::internal)?;
            // The driver reads PTX up to a zero.
            image.push(0);
            let mut handle = null_mut();
            // SAFETY: a place for the answer, a whole image or a text that ends with a zero, and no options.
            code = context.code(|f| unsafe {
                (f.module_load)(&raw mut handle, image.as_ptr().cast(), 0, null_mut(), null_mut())
            })?;
            if code == SUCCESS {
                return Ok(Arc::new(Self { context: context.clone(), handle, waits }));
            }
            if code == OUT_OF_MEMORY {
                break;
            }
        }
        Err(context.driver().failed("cuModuleLoadDataEx", code))
    }

    /// A kernel; it may use `shared_bytes` of dynamic shared memory.
    ///
    /// # Errors
    /// When there is none of this name, or the card has not so much shared memory.
    pub fn function(self: &Arc<Self>, name: &str, shared_bytes: usize) -> Result<Function> {
        let symbol = CString::new(name).map_err(Error::internal)?;
        let mut handle = null_mut();
        // SAFETY: a place for the answer, and a text that ends with a zero.
        self.context.call("cuModuleGetFunction", |f| unsafe {
            (f.module_function)(&raw mut handle, self.handle, symbol.as_ptr())
        })?;
        // Needed beyond 48 KB, in which what the kernel declares itself counts.
        if shared_bytes > 0 {
            // SAFETY: the handle was just given; the attribute is one of `cuda.h`.
            self.context.call("cuFuncSetAttribute", |f| unsafe {
                (f.function_set_attribute)(handle, FUNCTION_MAX_DYNAMIC_SHARED, shared_bytes as i32)
            })?;
        }
        Ok(Function { module: self.clone(), handle, name: name.into() })
    }
}

impl Drop for Module {
    fn drop(&mut self) {
        // SAFETY: loaded once, unloaded once; its functions hold it.
        self.context.release(|f| unsafe { (f.module_unload)(self.handle) });
    }
}

/// A kernel.
#[derive(Debug, Clone)]
pub struct Function {
    module: Arc<Module>,
    handle: FunctionHandle,
    name: String,
}

// SAFETY: the driver lets any thread launch a function.
unsafe impl Send for Function {}
// SAFETY: and several at once.
unsafe impl Sync for Function {}

/// How many threads, and how they are grouped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grid {
    /// Blocks in each direction.
    pub blocks: [u32; 3],
    /// A block's threads in each direction.
    pub threads: [u32; 3],
    /// Bytes of a block's dynamic shared memory.
    pub shared_bytes: u32,
}

impl Function {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Puts it at the stream's end.
    ///
    /// # Safety
    /// The arguments must be those that the kernel declares, and the arrays so large and so long alive as it reads and writes
    /// them.
    ///
    /// # Errors
    /// When the driver refuses.
    pub unsafe fn launch(&self, stream: &Stream, grid: Grid, arguments: &Arguments) -> Result<()> {
        let mut pointers = arguments.pointers();
        let ([bx, by, bz], [tx, ty, tz]) = (grid.blocks, grid.threads);
        let context = &self.module.context;
        let launched = if stream.takes_early_kernel() && self.module.waits {
            let mut value = [0; 16];
            value[0] = 1;
            let early = LaunchAttribute { id: ATTRIBUTE_EARLY, unused: 0, value };
            let config = LaunchConfig {
                blocks: grid.blocks,
                threads: grid.threads,
                shared_bytes: grid.shared_bytes,
                stream: stream.handle(),
                attributes: &raw const early,
                attribute_count: 1,
            };
            // SAFETY: as below; the kernel waits for what the one in front of it writes.
            context.call("cuLaunchKernelEx", |f| unsafe {
                (f.launch_config)(&raw const config, self.handle, pointers.as_mut_ptr(), null_mut())
            })
        } else {
            // SAFETY: the pointers are to values that live until the driver has copied them, which it has when it
            // returns; that they are the right ones is the caller's promise.
            context.call("cuLaunchKernel", |f| unsafe {
                (f.launch)(
                    self.handle,
                    bx,
                    by,
                    bz,
                    tx,
                    ty,
                    tz,
                    grid.shared_bytes,
                    stream.handle(),
                    pointers.as_mut_ptr(),
                    null_mut(),
                )
            })
        };
        launched
            .map_err(|error| Error { message: format!("kernel {}: {}", self.name, error.message), ..error })
    }
}
