// The mock driver's modules: the kernels that the PTX has, as far as the emulation has them, too.
#include "driver.h"

#include <cstdio>
#include <cstdlib>

namespace mock {
namespace {

// `.version 8.0` as 80; 0 where there is none.
int number_behind(const std::string& text, const char* word) {
  const size_t at = text.find(word);
  int major = 0, minor = 0;
  if (at == std::string::npos) return 0;
  const int read = std::sscanf(text.c_str() + at + std::strlen(word), "%d.%d", &major, &minor);
  return read == 2 ? major * 10 + minor : 0;
}

// PTX's versions began to count with CUDA's at 11.0: 7.0.
int ptx_of_driver() {
  const int version = driver_version();
  return (version / 1000 - 4) * 10 + version % 1000 / 10;
}

// Whether the kernel's parameters in the PTX are as large as the emulation's: else the two are not of the same sources.
bool same_parameters(const std::string& text, size_t entry, const emulation::Kernel& kernel) {
  const size_t end = text.find(')', entry);
  size_t count = 0;
  for (size_t at = text.find(".param ", entry); at < end; at = text.find(".param ", at + 1), count++) {
    if (count >= kernel.argument_bytes.size()) return false;
    const std::string line = text.substr(at, text.find_first_of(",\n", at) - at);
    size_t bytes = line.find("64 ") != std::string::npos && line.find(".b8") == std::string::npos ? 8 : 4;
    if (line.find(".b8") != std::string::npos) bytes = std::strtoull(line.c_str() + line.find('[') + 1, nullptr, 10);
    if (bytes != kernel.argument_bytes[count]) return false;
  }
  return count == kernel.argument_bytes.size();
}

}  // namespace
}  // namespace mock

using namespace mock;

API cuModuleLoadDataEx(void** to, const void* image, unsigned count, int*, void**) {
  CALL();
  if (count > 0) return INVALID_VALUE;
  std::string text(static_cast<const char*>(image));
  const int version = number_behind(text, ".version ");
  if (version == 0) return INVALID_IMAGE;
  if (version > ptx_of_driver()) return UNSUPPORTED_PTX_VERSION;
  int needed = 0;
  const size_t at = text.find(".target sm_");
  if (at == std::string::npos || std::sscanf(text.c_str() + at, ".target sm_%d", &needed) != 1) return INVALID_IMAGE;
  if (capability().major * 10 + capability().minor < needed) return NO_BINARY_FOR_GPU;
  auto* module = new Module{current(), std::move(text)};
  books.modules.insert(module);
  *to = module;
  return SUCCESS;
}

API cuModuleLoadData(void** to, const void* image) { return cuModuleLoadDataEx(to, image, 0, nullptr, nullptr); }

API cuModuleUnload(void* handle) {
  CALL(true, true);
  auto* module = static_cast<Module*>(handle);
  if (!known(books.modules, module)) return INVALID_HANDLE;
  finish_all();
  for (auto at = books.functions.begin(); at != books.functions.end();) {
    if ((*at)->module == module) {
      delete *at;
      at = books.functions.erase(at);
    } else {
      ++at;
    }
  }
  books.modules.erase(module);
  delete module;
  return SUCCESS;
}

API cuModuleGetFunction(void** to, void* handle, const char* name) {
  CALL();
  auto* module = static_cast<Module*>(handle);
  if (!known(books.modules, module)) return INVALID_HANDLE;
  const size_t entry = module->text.find(".entry " + std::string(name) + "(");
  const emulation::Kernel* kernel = emulation::find_kernel(name);
  if (entry == std::string::npos || !kernel) return NOT_FOUND;
  if (!same_parameters(module->text, entry, *kernel)) {
    std::fprintf(stderr, "mock CUDA: the PTX and the emulation disagree about the parameters of %s\n", name);
    return INVALID_IMAGE;
  }
  auto* function = new Function{module, kernel};
  books.functions.insert(function);
  *to = function;
  return SUCCESS;
}

API cuFuncSetAttribute(void* handle, int, int value) {
  CALL();
  if (!known(books.functions, static_cast<Function*>(handle))) return INVALID_HANDLE;
  return value > 227 << 10 ? INVALID_VALUE : SUCCESS;
}
