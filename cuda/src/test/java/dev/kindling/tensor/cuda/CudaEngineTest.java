package dev.kindling.tensor.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.kindling.InvalidInput;
import dev.kindling.tensor.AttentionShape;
import dev.kindling.tensor.Backend;
import dev.kindling.tensor.DType;
import dev.kindling.tensor.Precision;
import dev.kindling.tensor.gpu.MachineReader;
import dev.kindling.tensor.load.Compute;
import dev.kindling.tensor.load.Device;
import dev.kindling.tensor.load.Engine;
import dev.kindling.tensor.load.GpuEngine;
import java.util.Optional;
import org.junit.jupiter.api.Test;

/** The engine where there is no device. */
class CudaEngineTest {
  @Test
  void engine_onTheClassPath_isFound() {
    assertThat(GpuEngine.of(Engine.CUDA)).isInstanceOf(CudaEngine.class);
    assertThatThrownBy(() -> GpuEngine.of(Engine.ND4J_CUDA))
        .hasMessageContaining("nd4j-cuda, and the class path has no such engine")
        .hasMessageContaining("-Pnd4j-cuda");
  }

  @Test
  void device_withoutDriver_isTheCpuAndSaysWhy() {
    assumeTrue(new MachineReader().read().driver().isEmpty(), "there is a driver here");
    Compute compute = new Compute(Engine.CUDA, Precision.FP32, 1);
    Device device = compute.device(Optional.of("0"));
    assertThat(device).isInstanceOf(Device.Cpu.class);
    assertThat(((Device.Cpu) device).why()).contains("no NVIDIA driver");
    assertThat(((Device.Cpu) compute.device(Optional.empty())).why()).contains("no GPU");
    try (Backend backend = compute.open(device)) {
      assertThat(backend.name()).isNotEqualTo("cuda");
    }
  }

  /** The guard looks for files; what cannot be loaded is told as well. */
  @Test
  void open_librariesThatCannotBeLoaded_saysSo() {
    assumeTrue(new MachineReader().read().driver().isEmpty(), "there is a driver here");
    Device.Gpu device = new Device.Gpu("0", "GPU-none", "a card", 1L << 36);
    for (int attempt = 0; attempt < 2; attempt++) { // a task is tried again in the same process
      assertThatThrownBy(() -> new CudaEngine().open(Precision.FP32, device))
          .isInstanceOf(InvalidInput.class)
          .hasMessageContaining("CUDA's libraries cannot be loaded")
          .hasMessageContaining("jnicudart")
          .hasMessageContaining("LD_LIBRARY_PATH");
    }
  }

  @Test
  void spelled_sixteenBytes_areNvidiaSmisUuid() {
    byte[] bytes = new byte[16];
    for (int i = 0; i < bytes.length; i++) {
      bytes[i] = (byte) (0x11 * i);
    }
    assertThat(DeviceNumbers.spelled(bytes)).isEqualTo("GPU-00112233-4455-6677-8899-aabbccddeeff");
  }

  /** The probabilities of 2,048 tokens and 32 heads would be 256 MiB of bf16 for each layer. */
  @Test
  void sizes_longSequence_keepANumberForEachQueryAndHead() {
    try (Backend sizes = new Compute(Engine.CUDA, Precision.BF16, 1).sizes()) {
      AttentionShape shape = new AttentionShape(1, 2048, 32, 32, 128, true);
      assertThat(sizes.active()).isEqualTo(DType.BF16);
      assertThat(sizes.attentionKept(shape) * 2).isEqualTo(2048 * 32 * 4);
      assertThat(sizes.attentionScratch(shape) * 4).isLessThan(200 << 20);
      assertThatThrownBy(() -> sizes.allocate(DType.F32, 1)).hasMessageContaining("sizes");
    }
  }
}
