package dev.kindling.tensor.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.kindling.tensor.Backend;
import dev.kindling.tensor.Precision;
import dev.kindling.tensor.gpu.MachineReader;
import dev.kindling.tensor.load.Device;

/** The engine on the first GPU that this process sees; tests are skipped where there is none. */
public final class OnDevice {
  private OnDevice() {}

  /** A backend of the engine's own. */
  public static Backend open(Precision precision) {
    assumeTrue(new MachineReader().read().driver().isPresent(), "there is no GPU here");
    CudaEngine engine = new CudaEngine();
    Device device = engine.device("0", precision);
    assertThat(device).isInstanceOf(Device.Gpu.class);
    return engine.open(precision, (Device.Gpu) device);
  }
}
