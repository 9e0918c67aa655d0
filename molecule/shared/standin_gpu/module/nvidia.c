/* STAND-IN: a module with the name, version and licence of NVIDIA's, that does nothing. DRIVER_* come from Kbuild. */
#include <linux/module.h>

#ifdef DRIVER_CORE
int nvidia_stand_in(void)
{
	return 0;
}
EXPORT_SYMBOL(nvidia_stand_in);
MODULE_ALIAS("pci:v000010DEd*sv*sd*bc03sc02i00*");
MODULE_ALIAS("pci:v000010DEd*sv*sd*bc03sc00i00*");
#else
int nvidia_stand_in(void);
#endif

static int __init stand_in(void)
{
#ifdef DRIVER_CORE
	return 0;
#else
	return nvidia_stand_in();
#endif
}
module_init(stand_in);
MODULE_VERSION(DRIVER_VERSION);
MODULE_LICENSE(DRIVER_LICENCE);
MODULE_DESCRIPTION("stand-in of the lab");
