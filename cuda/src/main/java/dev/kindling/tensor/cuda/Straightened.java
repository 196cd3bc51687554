package dev.kindling.tensor.cuda;

import dev.kindling.tensor.cuda.Launch.Address;
import dev.kindling.tensor.cuda.Product.Operand;

/**
 * Mutable: products whose large operands have rows that begin anywhere, by way of copies whose rows
 * begin at multiples of 16 bytes. Each copy takes the place of the last one of its operand.
 */
final class Straightened {
  /** Bytes. */
  private static final int STEP = 16;

  /** Elements of a matrix from which on its product takes longer than its copy. */
  static final long LARGE = 1 << 18;

  private final Driver driver;
  private final Kernels kernels;
  private final long large;
  private final Room left;
  private final Room right;
  private final Room result;

  /**
   * @param large elements of a matrix from which on it is copied
   */
  Straightened(Driver driver, Kernels kernels, long large) {
    this.driver = driver;
    this.kernels = kernels;
    this.large = large;
    this.left = new Room();
    this.right = new Room();
    this.result = new Room();
  }

  /** Where copies of one operand lie. */
  private final class Room {
    private long address;
    private long bytes;

    Operand like(Operand o) {
      int step = STEP / o.type().bytes();
      long leading = (o.columns() + step - 1L) / step * step;
      long needed = o.rows() * leading * o.type().bytes();
      if (needed > bytes) {
        free();
        address = driver.allocate(needed);
        bytes = needed;
      }
      return new Operand(address, o.type(), o.rows(), o.columns(), leading, 0, o.turned());
    }

    void free() {
      if (bytes > 0) {
        driver.free(address);
        bytes = 0;
      }
    }
  }

  private boolean crooked(Operand o) {
    return o.leading() * o.type().bytes() % STEP != 0 && (long) o.rows() * o.columns() >= large;
  }

  private void copy(Operand from, Operand to) {
    kernels.overRows(
        "copy_rows",
        from.rows(),
        from.columns(),
        new Address(from.address()),
        from.leading(),
        new Address(to.address()),
        to.leading(),
        from.columns(),
        from.type().bytes());
  }

  private Operand straight(Operand o, Room room) {
    if (!crooked(o)) {
      return o;
    }
    Operand straight = room.like(o);
    copy(o, straight);
    return straight;
  }

  /** One product, not a batch. */
  void multiply(Product p) {
    Operand c = p.c();
    boolean elsewhere = crooked(c);
    Operand into = elsewhere ? result.like(c) : c;
    if (elsewhere && p.beta() != 0) {
      copy(c, into);
    }
    driver.multiply(
        new Product(straight(p.a(), left), straight(p.b(), right), into, p.alpha(), p.beta(), 1));
    if (elsewhere) {
      copy(into, c);
    }
  }

  void close() {
    left.free();
    right.free();
    result.free();
  }
}
