// A batch from the bytes of all pictures, which lie on the card. What is left to chance was drawn by the processor.
#include "step.cuh"

struct PictureChoice {
  unsigned index;
  int padding, top, left, flip;
};
static_assert(sizeof(PictureChoice) == 20, "as the host lays it out");

struct Hole {
  int rows[2], columns[2];
};
static_assert(sizeof(Hole) == 16, "as the host lays it out");

struct PictureSet {
  const unsigned char* bytes;
  const PictureChoice* choices;
  const Hole* holes;
  int holes_per_picture;
  const float* lookup;
  int side;

  // A batch picture's pixel: placed, normalised, cut. What lies outside of the picture is black before it is normalised.
  DEVICE void pixel(int picture, int row, int column, float (&to)[3]) const {
    for (int hole = 0; hole < holes_per_picture; hole++) {
      const Hole& h = holes[picture * holes_per_picture + hole];
      if (row >= h.rows[0] && row < h.rows[1] && column >= h.columns[0] && column < h.columns[1]) {
        to[0] = to[1] = to[2] = 0.0f;
        return;
      }
    }
    const PictureChoice& choice = choices[picture];
    const int y = row + choice.top - choice.padding;
    const int x = (choice.flip ? side - 1 - column : column) + choice.left - choice.padding;
    const bool inside = y >= 0 && y < side && x >= 0 && x < side;
    const unsigned char* from = bytes + (static_cast<size_t>(choice.index) * side * side + y * side + x) * 3;
    for (int channel = 0; channel < 3; channel++) to[channel] = lookup[channel * 256 + (inside ? from[channel] : 0)];
  }
};

KERNEL(prepare_batch, 256)
(const unsigned char* set, const unsigned* set_labels, const PictureChoice* choices, const Hole* holes,
 int holes_per_picture, const float* lookup, const StepScalars* step, float* input, unsigned* labels,
 unsigned* second_labels, int pictures, int side) {
  begin_kernel();
  const size_t at = flat_index();
  const int pixels = side * side;
  if (at >= static_cast<size_t>(pictures) * pixels) return;
  const int picture = static_cast<int>(at / pixels), pixel = static_cast<int>(at % pixels);
  const int row = pixel / side, column = pixel % side, other = picture == 0 ? pictures - 1 : picture - 1;
  const PictureSet all = {set, choices, holes, holes_per_picture, lookup, side};
  const int mix = step ? step->mix_kind : MIX_NONE;
  float own[3];
  if (mix == MIX_BOX && row >= step->mix_rows[0] && row < step->mix_rows[1] && column >= step->mix_columns[0] &&
      column < step->mix_columns[1]) {
    all.pixel(other, row, column, own);
  } else {
    all.pixel(picture, row, column, own);
  }
  if (mix == MIX_MEAN) {
    float others[3];
    all.pixel(other, row, column, others);
    // In PyTorch's order: both are weighted, and then added.
    for (int channel = 0; channel < 3; channel++)
      own[channel] = __fadd_rn(__fmul_rn(others[channel], step->mix_rest), __fmul_rn(own[channel], step->mix_weight));
  }
  for (int channel = 0; channel < 3; channel++) input[3 * at + channel] = own[channel];
  if (pixel > 0) return;
  labels[picture] = set_labels[choices[picture].index];
  if (second_labels) second_labels[picture] = set_labels[choices[other].index];
}
END_KERNEL(prepare_batch)
