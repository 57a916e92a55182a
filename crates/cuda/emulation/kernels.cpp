// The kernels themselves, compiled for the emulation.
#include "../kernels/step.cuh"

// The pointers within structures that are passed by value.
inline void add_pointers(const Reading& reading, emulation::Pointers& to) {
  to.add(reading.scale);
  to.add(reading.shift);
}
inline void add_pointers(const GradientReading& reading, emulation::Pointers& to) {
  to.add(reading.scale);
  to.add(reading.slope);
  to.add(reading.offset);
}
inline void add_pointers(const SumReading& reading, emulation::Pointers& to) {
  add_pointers(reading.reading, to);
  to.add(reading.mean);
}
struct OptimizerConstants;
inline void add_pointers(const OptimizerConstants&, emulation::Pointers&) {}

#include "../kernels/module.cu"
