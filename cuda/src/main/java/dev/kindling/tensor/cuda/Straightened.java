package dev.kindling.tensor.cuda;

import dev.kindling.tensor.cuda.Launch.Address;
import dev.kindling.tensor.cuda.Product.Operand;

/**
 * Mutable: products with a large operand whose rows begin anywhere, by way of copies whose rows
 * begin at multiples of 16 bytes, and are as many and as long as cublasLt's fast kernels want them:
 * sizes are rounded up to multiples of 8. What is summed over is filled up with zeros; other
 * results are left behind. Each copy takes the place of the last one of its operand.
 */
final class Straightened {
  /** Bytes: where rows begin that cublasLt's fast kernels take. */
  static final int STEP = 16;

  /** Elements: of what they want sizes to be multiples. */
  static final int ROUND = 8;

  /** Elements of a matrix from which on its product takes longer than its copy. */
  static final long LARGE = 1 << 18;

  /**
   * Bytes of a copy: larger operands are multiplied as they are. Three such are set aside of a
   * device's memory, whatever the sizes (the job's GpuBudget).
   */
  private static final long MOST = 256 << 20;

  private final WorkQueue queue;
  private final Kernels kernels;
  private final long large;
  private final Room left;
  private final Room right;
  private final Room result;

  /**
   * @param large elements of a matrix from which on it is copied
   */
  Straightened(WorkQueue queue, Kernels kernels, long large) {
    this.queue = queue;
    this.kernels = kernels;
    this.large = large;
    this.left = new Room(queue);
    this.right = new Room(queue);
    this.result = new Room(queue);
  }

  /** Of an operand's size, rounded where asked. */
  private static Operand like(Operand o, Room room, boolean rows, boolean columns) {
    int tall = rows ? round(o.rows(), ROUND) : o.rows();
    int wide = columns ? round(o.columns(), ROUND) : o.columns();
    int leading = round(wide, STEP / o.type().bytes());
    long address = room.of((long) tall * leading * o.type().bytes());
    return new Operand(address, o.type(), tall, wide, leading, 0, o.turned());
  }

  private static int round(int size, int step) {
    return (size + step - 1) / step * step;
  }

  private static long bytes(Operand o) {
    return (long) o.rows() * o.columns() * o.type().bytes();
  }

  private boolean crooked(Operand o) {
    return o.leading() * o.type().bytes() % STEP != 0 && (long) o.rows() * o.columns() >= large;
  }

  /** The rows and columns that both have. */
  private void copy(Operand from, Operand to) {
    int columns = Math.min(from.columns(), to.columns());
    kernels.overRows(
        "copy_rows",
        Math.min(from.rows(), to.rows()),
        columns,
        new Address(from.address()),
        from.leading(),
        new Address(to.address()),
        to.leading(),
        columns,
        from.type().bytes());
  }

  /**
   * What is to be multiplied in an operand's place.
   *
   * @param rows whether their number, as stored, is rounded up
   * @param columns whether theirs is
   * @param zeros whether what is added is zero
   */
  private Operand straight(Operand o, Room room, boolean rows, boolean columns, boolean zeros) {
    if (!crooked(o) && !rows && !columns) {
      return o;
    }
    Operand straight = like(o, room, rows, columns);
    if (zeros) {
      long bytes = straight.rows() * straight.leading() * straight.type().bytes();
      queue.run(new Clear(straight.address(), bytes));
    }
    copy(o, straight);
    return straight;
  }

  /** Whether a product is formed by way of copies. */
  boolean copies(Product p) {
    long largest = Math.max(Math.max(bytes(p.a()), bytes(p.b())), bytes(p.c()));
    return (crooked(p.a()) || crooked(p.b()) || crooked(p.c())) && largest <= MOST;
  }

  /** One product, not a batch; without a bias where it is formed by way of {@link #copies}. */
  void multiply(Product p) {
    if (!copies(p)) {
      queue.run(p);
      return;
    }
    boolean a = crooked(p.a());
    boolean b = crooked(p.b());
    boolean c = crooked(p.c());
    boolean rows = a && p.a().turned();
    boolean inner = (a && !p.a().turned()) || (b && p.b().turned());
    boolean columns = c || (b && !p.b().turned());
    boolean elsewhere = c || rows || columns;
    Operand into = elsewhere ? like(p.c(), result, rows, columns) : p.c();
    if (elsewhere && p.beta() != 0) {
      copy(p.c(), into);
    }
    queue.run(
        new Product(
            p.a().turned()
                ? straight(p.a(), left, inner, rows, inner)
                : straight(p.a(), left, rows, inner, inner),
            p.b().turned()
                ? straight(p.b(), right, columns, inner, inner)
                : straight(p.b(), right, inner, columns, inner),
            into,
            p.alpha(),
            p.beta(),
            1));
    if (elsewhere) {
      copy(into, p.c());
    }
  }

  void close() {
    left.free();
    right.free();
    result.free();
  }
}
