package dev.kindling.tensor.nd4jcuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.kindling.InvalidInput;
import dev.kindling.tensor.Precision;
import dev.kindling.tensor.gpu.MachineReader;
import dev.kindling.tensor.load.Compute;
import dev.kindling.tensor.load.Device;
import dev.kindling.tensor.load.Engine;
import dev.kindling.tensor.load.GpuEngine;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** The engine where there is no device: it is found, judged, and refuses what it cannot do. */
class Nd4jCudaEngineTest {
  @Test
  void engine_onTheClassPath_isFound() {
    assertThat(GpuEngine.of(Engine.ND4J_CUDA)).isInstanceOf(Nd4jCudaEngine.class);
    assertThatThrownBy(() -> GpuEngine.of(Engine.CUDA))
        .hasMessageContaining("cuda, and the class path has no such engine");
  }

  @Test
  void device_withoutDriver_isTheCpuAndSaysWhy() {
    assumeTrue(new MachineReader().read().driver().isEmpty(), "there is a driver here");
    Device device = new Compute(Engine.ND4J_CUDA, Precision.FP32, 1).device(Optional.of("0"));
    assertThat(device).isInstanceOf(Device.Cpu.class);
    assertThat(((Device.Cpu) device).why()).contains("no NVIDIA driver");
  }

  @ParameterizedTest
  @EnumSource(names = {"BF16", "TF32"})
  void sizes_anythingButFp32_isRefusedByName(Precision precision) {
    assertThatThrownBy(() -> new Nd4jCudaEngine().sizes(precision))
        .isInstanceOf(InvalidInput.class)
        .hasMessageContaining(precision.spelled() + " with compute.backend = nd4j-cuda")
        .hasMessageContaining("compute.backend = cuda");
  }
}
