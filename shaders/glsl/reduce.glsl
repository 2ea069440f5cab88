// Sums over a workgroup, by subgroups where the device has their arithmetic, through shared memory
// otherwise. Every invocation has to come by; all get the sum.
#ifdef SUBGROUPS
#extension GL_KHR_shader_subgroup_arithmetic : require
shared float partial_sums[64];

float sum_of_workgroup(float x) {
  float sum = subgroupAdd(x);
  if (gl_NumSubgroups == 1u) return sum;
  barrier();
  if (subgroupElect()) partial_sums[gl_SubgroupID] = sum;
  barrier();
  sum = 0.0;
  for (uint i = 0; i < gl_NumSubgroups; ++i) sum += partial_sums[i];
  return sum;
}
#else
shared float partial_sums[256];

float sum_of_workgroup(float x) {
  barrier();
  partial_sums[gl_LocalInvocationID.x] = x;
  barrier();
  for (uint n = gl_WorkGroupSize.x / 2u; n > 0u; n /= 2u) {
    if (gl_LocalInvocationID.x < n) partial_sums[gl_LocalInvocationID.x] += partial_sums[gl_LocalInvocationID.x + n];
    barrier();
  }
  return partial_sums[0];
}
#endif
