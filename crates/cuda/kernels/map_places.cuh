// Rows and columns of a map under a filter, some of which may lie outside: they are read as the nearest, so that nothing branches
// around them, and taken as zeros.
#pragma once
#include "common.cuh"

// Where COUNT rows of a map begin, from `first` on. Places within a picture are unsigned: signed ones would have to be extended to
// make an address.
template <int COUNT>
struct Rows {
  unsigned place[COUNT];
  unsigned inside_bits = 0;
  DEVICE Rows(int first, int side, int channels) {
#pragma unroll
    for (int i = 0; i < COUNT; i++) {
      const int row = first + i, nearest = min(max(row, 0), side - 1);
      place[i] = nearest * side * channels;
      inside_bits |= row == nearest ? 1u << i : 0u;
    }
  }
  // How far behind the first row i begins.
  DEVICE unsigned from_first(int i) const { return place[i] - place[0]; }
  DEVICE bool inside(int i) const { return inside_bits >> i & 1; }
};

// A column of a map of so many: the nearest of them, and whether it is one itself.
struct Column {
  int nearest;
  bool inside;
  // One that is inside.
  DEVICE explicit Column(int column) : nearest(column), inside(true) {}
  DEVICE Column(int column, int side) : nearest(min(max(column, 0), side - 1)), inside(nearest == column) {}
};
