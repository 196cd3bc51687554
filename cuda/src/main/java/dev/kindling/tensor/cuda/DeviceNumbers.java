package dev.kindling.tensor.cuda;

import static dev.kindling.tensor.cuda.Calls.check;

import dev.kindling.InvalidInput;
import java.nio.ByteBuffer;
import java.util.UUID;
import org.bytedeco.cuda.cudart.CUuuid;
import org.bytedeco.cuda.global.cudart;

/** How CUDA counts the devices of a process, and what it says of them. */
final class DeviceNumbers {
  private DeviceNumbers() {}

  /**
   * The number under which CUDA shows a device to this process. It need not be that of the bus, by
   * which nvidia-smi counts: CUDA has the fastest first.
   */
  static int of(String uuid) {
    int[] found = new int[1];
    check(cudart.cuInit(0), "cuInit");
    check(cudart.cuDeviceGetCount(found), "cuDeviceGetCount");
    int count = found[0];
    try (CUuuid id = new CUuuid()) {
      for (int number = 0; number < count; number++) {
        check(cudart.cuDeviceGet(found, number), "cuDeviceGet");
        check(cudart.cuDeviceGetUuid(id, found[0]), "cuDeviceGetUuid");
        byte[] bytes = new byte[2 * Long.BYTES];
        id.bytes().get(bytes);
        if (spelled(bytes).equals(uuid)) {
          return number;
        }
      }
    }
    throw new InvalidInput(
        "the GPU " + uuid,
        "it is none of the " + count + " devices that CUDA shows this process",
        "CUDA_DEVICE_ORDER=PCI_BUS_ID beside indices in CUDA_VISIBLE_DEVICES, for CUDA counts the"
            + " fastest first, or UUIDs in their place; and no MIG");
  }

  /** 16 bytes as nvidia-smi spells them. */
  static String spelled(byte[] uuid) {
    ByteBuffer bytes = ByteBuffer.wrap(uuid);
    return "GPU-" + new UUID(bytes.getLong(), bytes.getLong());
  }

  /** Major and minor number of a device's compute capability, as 90. */
  static int capability(int device) {
    int major = attribute(cudart.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, device);
    int minor = attribute(cudart.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, device);
    return 10 * major + minor;
  }

  private static int attribute(int which, int device) {
    int[] found = new int[1];
    check(cudart.cuDeviceGetAttribute(found, which, device), "cuDeviceGetAttribute");
    return found[0];
  }
}
