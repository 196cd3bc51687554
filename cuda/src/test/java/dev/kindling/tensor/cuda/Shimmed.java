package dev.kindling.tensor.cuda;

import dev.kindling.tensor.ForwardingBackend;
import dev.kindling.tensor.Precision;

/** The backend on a device that is a process, under strict supervision. */
final class Shimmed extends ForwardingBackend {
  private final StrictDriver driver;
  private final WorkQueue queue;

  private Shimmed(Precision precision, StrictDriver driver, WorkQueue queue, long mostScores) {
    super(new CudaBackend(precision, queue, mostScores));
    this.driver = driver;
    this.queue = queue;
  }

  static Shimmed open(Precision precision, long mostScores) {
    StrictDriver driver =
        new StrictDriver(
            new ShimDriver(
                Compiler.shim(precision == Precision.BF16), precision == Precision.TF32));
    return new Shimmed(precision, driver, WorkQueue.of(driver), mostScores);
  }

  /** What the device is asked for. */
  StrictDriver driver() {
    return driver;
  }

  /** What asks it. */
  WorkQueue queue() {
    return queue;
  }

  /** Closes the backend and not its device, which can be asked then. */
  void closeInner() {
    super.close();
  }

  @Override
  public void close() {
    closeInner();
    queue.close();
  }
}
