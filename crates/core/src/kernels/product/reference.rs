//! Matrix products as the definition says it, in float64.

/// `left [rows, depth] * right [depth, columns]`.
pub fn multiply(left: &[f64], right: &[f64], rows: usize, depth: usize, columns: usize) -> Vec<f64> {
    let mut product = vec![0.0; rows * columns];
    for row in 0..rows {
        for step in 0..depth {
            for column in 0..columns {
                product[row * columns + column] += left[row * depth + step] * right[step * columns + column];
            }
        }
    }
    product
}

/// `matrix [rows, columns]`, transposed.
pub fn transpose(matrix: &[f64], rows: usize, columns: usize) -> Vec<f64> {
    (0..columns).flat_map(|column| (0..rows).map(move |row| matrix[row * columns + column])).collect()
}
